"""Move every mention of the repository's address: ``set_address.py https://github.com/owner/name``.

The address stands once as a setting, in pyproject.toml; pages, notebooks and workflows repeat it as text.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = re.compile(r"https://github\.com/([A-Za-z0-9-]+)/([A-Za-z0-9._-]+?)(?:\.git)?/?")


def current_address() -> str:
    """The address that pyproject.toml names."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return settings["project"]["urls"]["Repository"]


def spellings(address: str) -> dict[str, str]:
    """How an address is spelt: the site's, and the owner/name that repository, Colab and Binder links hold."""
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise SystemExit(f"not a repository: {address!r}; give URL=https://github.com/owner/name")
    owner, name = match.groups()
    return {"site": f"{owner.lower()}.github.io/{name}", "slug": f"{owner}/{name}"}


def tracked_files() -> list[Path]:
    """The files that git knows."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in names.stdout.split("\0") if name and (ROOT / name).is_file()]


def replace(text: str, old: dict[str, str], new: dict[str, str]) -> str:
    """The text with each spelling replaced where it stands as a whole."""
    for kind in old:
        text = re.sub(rf"(?<![\w-]){re.escape(old[kind])}(?![\w-])", new[kind], text)
    return text


def main() -> None:
    """Rewrite every tracked text file that mentions the old address."""
    new = spellings(sys.argv[1] if len(sys.argv) > 1 else "")
    old = spellings(current_address())
    for path in tracked_files():
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            continue
        changed = replace(text, old, new)
        if changed != text:
            path.write_bytes(changed.encode("utf-8"))
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
