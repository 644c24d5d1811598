"""Write requirements.lock: the exact versions, in this environment, of everything that pyproject.toml asks for.

Install what is new into .venv first, then run ``.venv/bin/python tools/lock.py``. Dependencies that only
another system or Python needs are asked for at the end and pinned by hand in ``ELSEWHERE``.
"""

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
HEAD = """\
# Exact versions that the published book and the stored notebook outputs were made with (tools/lock.py).
# Python 3.11 to 3.13, Linux and macOS, plain pip. What torch itself brings for CUDA is left to torch.
"""
# Pinned though absent here: only these systems need them.
ELSEWHERE = {"appnope": ("0.1.4", 'sys_platform == "darwin"')}
# Every system that the lock is for.
SYSTEMS = [
    {"sys_platform": platform, "platform_system": system, "os_name": "posix", "python_version": python,
     "python_full_version": f"{python}.0", "platform_machine": machine}
    for platform, system, machine in [("linux", "Linux", "x86_64"), ("darwin", "Darwin", "arm64")]
    for python in ["3.11", "3.12", "3.13"]
]  # fmt: skip


def direct_requirements() -> list[Requirement]:
    """Everything that pyproject.toml names: core, extras and the build backend."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = settings["project"]
    lines = settings["build-system"]["requires"] + project["dependencies"]
    for extra in project["optional-dependencies"].values():
        lines += extra
    return [Requirement(line) for line in lines]


def closure(queue: list[Requirement]) -> tuple[dict[str, str], set[str]]:
    """Name to version of all that the requirements need here, and the names that are missing here."""
    found: dict[str, str] = {}
    missing: set[str] = set()
    seen: set[tuple[str, str]] = set()
    while queue:
        wanted = queue.pop()
        name = canonicalize_name(wanted.name)
        try:
            package = distribution(name)
        except PackageNotFoundError:
            missing.add(name)
            continue
        found[name] = package.version.split("+")[0]
        for extra in {"", *wanted.extras}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for line in package.requires or []:
                needed = Requirement(line)
                if needed.marker and extra and needed.marker.evaluate({"extra": ""}):
                    continue
                if needed.marker is None or any(
                    needed.marker.evaluate({**system, "extra": extra}) for system in SYSTEMS
                ):
                    queue.append(needed)
    return found, missing


def main() -> None:
    """Write the lock; name what cannot be pinned from this environment."""
    found, missing = closure(direct_requirements())
    lines = [f"{name}=={version}" for name, version in found.items()]
    lines += [f"{name}=={version} ; {marker}" for name, (version, marker) in ELSEWHERE.items()]
    (ROOT / "requirements.lock").write_text(HEAD + "\n".join(sorted(lines)) + "\n", encoding="utf-8")
    unknown = missing - set(ELSEWHERE)
    if unknown:
        sys.exit(f"not installed here, so not pinned: {', '.join(sorted(unknown))}")


if __name__ == "__main__":
    main()
