"""A wrong line in the package makes the chapter fail that rests on it: small faults, put in on purpose.

Each fault is one change of one line in a copy of the package. The chapter runs on that copy until its first failing
cell. Only an assertion or, where ``prints`` says so, what a cell prints may give the fault away: a chapter that shows
the changed source would otherwise always differ.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
SECONDS = 900


@dataclass(frozen=True)
class Fault:
    """One wrong line: in ``module``, ``old`` becomes ``new``; chapter ``chapter`` has to notice."""

    chapter: int
    name: str
    module: str
    old: str
    new: str
    prints: bool = False


SOFTMAX = "scores.masked_fill(~mask, -math.inf).softmax(dim=-1)"
ENERGY = "torch.tanh(self.W_a(query).unsqueeze(1) + keys) @ self.v_a"

FAULTS = [
    Fault(1, "the last column taken for the last word", "encoders",
          "last = (mask.sum(dim=1) - 1).view", "last = (mask.sum(dim=1) * 0 + mask.shape[1] - 1).view"),
    Fault(1, "padding counted in the loss", "losses",
          "targets.masked_fill(~mask, ignored).flatten()", "targets.flatten()"),
    Fault(1, "c left out of the decoder's state", "decoders",
          "self.unit.gates(embedded) + memory.keys[:, 0]", "self.unit.gates(embedded)"),
    Fault(2, "c left out of the decoder's output", "decoders",
          "self.output(hidden, embedded, memory.annotations[:, 0])",
          "self.output(hidden, embedded, torch.zeros_like(memory.annotations[:, 0]))"),
    Fault(2, "a probe that names the least likely word", "probe",
          "self.labels[self.logits(features).argmax(dim=1)]", "self.labels[self.logits(features).argmin(dim=1)]"),
    Fault(3, "the backward RNN reads the padding first", "encoders",
          "torch.where(mask, lengths - 1 - positions, positions)",
          "(mask.shape[1] - 1 - positions).expand(mask.shape)"),
    Fault(3, "the update gate keeps instead of writing", "recurrent",
          "return state + z * (candidate - state)", "return candidate + z * (state - candidate)"),
    Fault(4, "a softmax at twice the temperature", "attention",
          SOFTMAX, SOFTMAX.replace("scores.", "(scores / 2).")),
    Fault(4, "the word just written asks as well", "decoders",
          "glimpse = self.attention(state.hidden, memory)",
          "glimpse = self.attention(state.hidden + gates.mean(), memory)"),
    Fault(5, "softmax over the wrong axis", "attention",
          SOFTMAX, SOFTMAX.replace("dim=-1", "dim=0")),
    Fault(5, "mask after the softmax", "attention",
          SOFTMAX, "scores.softmax(dim=-1) * mask"),
    Fault(5, "no bend", "attention",
          ENERGY, ENERGY.replace("torch.tanh", "")),
    Fault(6, "a wrong slope of the reset gate", "bptt",
          "reset=before * r * (1 - r)", "reset=before * r * r"),
    Fault(6, "the update gate's error with the wrong sign", "bptt",
          "update=(candidates - before) * z * (1 - z)", "update=(before - candidates) * z * (1 - z)"),
    Fault(7, "EOS not counted in a hypothesis's length", "search",
          "log_prob / length**self.length_penalty", "log_prob / max(1, length - 1) ** self.length_penalty"),
    Fault(7, "BLEU that forgives a wrong case", "metrics",
          "return BLEU(tokenize=tokenize, force=True)", "return BLEU(tokenize=tokenize, force=True, lowercase=True)"),
    Fault(8, "possible links that are not sure count as errors", "metrics",
          "found_possible += len(links & (allowed | certain))", "found_possible += len(links & certain)"),
    Fault(8, "a posterior that forgets α", "inference",
          "joint = np.log(weights.astype(np.float64)) + log_probs", "joint = 0 * weights + log_probs"),
    Fault(9, "a patient that is not sick", "gallery",
          "weights = scores.softmax(dim=-1)",
          "weights = scores.masked_fill(~memory.mask, -torch.inf).softmax(dim=-1)"),
    Fault(9, "padding that still counts", "attention",
          SOFTMAX, "scores.masked_fill(~mask, -3.0).softmax(dim=-1)"),
    Fault(10, "one direction of the annotations forgotten in the count", "cost",
          "keys = 2 * n * n_a", "keys = n * n_a"),
    Fault(11, "channels taken for places", "encoders",
          "return feature_map.flatten(2).transpose(1, 2)",
          "return feature_map.flatten(2).reshape(len(feature_map), -1, feature_map.shape[1])"),
    Fault(11, "the gate forgotten", "caption_decoder",
          "context = gate * context", "context = 1 * context"),
    Fault(11, "the penalty without its square", "losses",
          "missing = (wanted.unsqueeze(1) - received).square()", "missing = (wanted.unsqueeze(1) - received).abs()"),
    Fault(11, "the look asks with the state that has read the word", "caption_decoder",
          "glimpse = self.attention(state.hidden, memory)",
          "glimpse = self.attention(self.unit.update(share, state.hidden, state.cell)[0], memory)"),
    Fault(11, "the penalty summed over each word's places", "losses",
          "received = wide.masked_fill(~target_mask.unsqueeze(-1), 0).sum(dim=1)",
          "received = wide.sum(dim=2, keepdim=True).mean(dim=1).expand_as(wide[:, 0])"),
    Fault(11, "places column by column", "encoders",
          "return feature_map.flatten(2).transpose(1, 2)",
          "return feature_map.transpose(2, 3).flatten(2).transpose(1, 2)"),
    Fault(12, "a reward that is not detached", "losses",
          "rewards = log_likelihood.detach() /", "rewards = log_likelihood /"),
    Fault(12, "an entropy term of the wrong sign", "losses",
          "+ entropy_weight * entropy", "- entropy_weight * entropy"),
    Fault(12, "a baseline that contains the current rewards", "losses",
          "return before", "return self.value.clone()"),
    Fault(12, "the context of the place beside the drawn one", "attention",
          "index = position.unsqueeze(1)", "index = (position.unsqueeze(1) + 1) % weights.shape[1]"),
    Fault(13, "a place's corner taken for its middle", "pointing",
          "(np.arange(cells) + 0.5) * pixels / cells", "np.arange(cells) * pixels / cells"),
    Fault(13, "words drawn in place of pictures", "pointing",
          "np.unique(np.asarray(groups), return_inverse=True)",
          "np.unique(np.arange(len(groups)), return_inverse=True)"),
    Fault(13, "a turned gaze whose sentence never goes on", "caption_steering",
          "state, before = step.state, wanted", "state, before = step.state, before"),
    Fault(14, "a scaled dot product that is not scaled", "attention",
          "self.scale = 1 / math.sqrt(alignment_size)", "self.scale = 1.0"),
    Fault(14, "a look back that sees what is not yet written", "placement",
          "is_causal=True", "is_causal=False"),
]  # fmt: skip


def notebook_of(chapter: int) -> Path:
    """The chapter's notebook, or a skip where it is not written yet."""
    found = list(BOOK.glob(f"{chapter:02d}_*.ipynb"))
    if not found:
        pytest.skip(f"chapter {chapter} is not written yet")
    return found[0]


def copy_of_package(folder: Path, module: str = "", old: str = "", new: str = "") -> Path:
    """The package in a folder of its own, data linked, with one text of one module exchanged."""
    package = folder / "course_pkg"
    heavy = shutil.ignore_patterns("weights", "__pycache__")
    shutil.copytree(ROOT / "course_pkg", package, ignore=heavy)
    (package / "weights").symlink_to(ROOT / "course_pkg/weights")
    if module:
        file = package / f"{module}.py"
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"the fault's line stands {text.count(old)} times in {module}.py: adapt the fault"
        file.write_text(text.replace(old, new), encoding="utf-8")
    return folder


def run(notebook: Path, package: Path, folder: Path, *, prints: bool) -> subprocess.CompletedProcess[str]:
    """nbval from an empty folder, against the copied package, up to the first cell that fails."""
    folder.mkdir()
    shutil.copy(notebook, folder)
    (folder / "pytest.ini").write_text("[pytest]\n")
    environment = {**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "--nbval-current-env",
        "--nbval" if prints else "--nbval-lax",
    ]
    command += ["-p", "no:cacheprovider", f"--nbval-sanitize-with={ROOT / 'tests/nbval_sanitize.cfg'}"]
    command += ["--nbval-cell-timeout=300", notebook.name]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_copy_is_what_a_chapter_imports(tmp_path: Path) -> None:
    package = copy_of_package(tmp_path / "copy")
    code = "import course_pkg, course_pkg.attention as a; print(course_pkg.__file__, a.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(package)}
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert told.stdout.count(str(package)) == 2


@pytest.mark.slow
@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("chapter", sorted({fault.chapter for fault in FAULTS}))
def test_the_copy_without_a_fault_passes(chapter: int, tmp_path: Path) -> None:
    done = run(notebook_of(chapter), copy_of_package(tmp_path / "copy"), tmp_path / "empty", prints=True)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.slow
@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.chapter:02d} {fault.name}".replace(" ", "-"))
def test_the_chapter_notices_the_fault(fault: Fault, tmp_path: Path) -> None:
    package = copy_of_package(tmp_path / "copy", fault.module, fault.old, fault.new)
    done = run(notebook_of(fault.chapter), package, tmp_path / "empty", prints=fault.prints)
    assert done.returncode == 1 and "1 failed" in done.stdout, done.stdout[-3000:]
    assert fault.prints or "AssertionError" in done.stdout, f"it failed for another reason: {done.stdout[-3000:]}"
    assert "Kernel died" not in done.stdout and "Timeout" not in done.stdout, done.stdout[-3000:]


def test_every_chapter_with_a_notebook_has_its_fault() -> None:
    written = {int(path.stem[:2]) for path in BOOK.glob("[0-9][0-9]_*.ipynb")}
    assert written <= {fault.chapter for fault in FAULTS}
