"""How long a photograph takes to be described, and whether many need more memory than few.

``python benchmarks/captions.py --model NAME|FOLDER [--images DIR]`` prints the median seconds for one new photograph
once the model is loaded (at most 1.5 on two threads), and how much the process grows over 50 photographs in one call
of ``caption``. Without ``--model`` an untrained captioner of the published size is made; without ``--images`` the
photographs are made up, 4,000 × 3,000 pixels like a telephone's, saved as JPEG.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from course_pkg.captioner import Captioner
from course_pkg.checkpoints import Stored, build
from course_pkg.inference import load
from course_pkg.recipes import read
from course_pkg.vocabulary import WordVocabulary

MANY, DIFFERENT = 50, 5
SLOWEST, GROWTH = 1.5, 100  # what is promised: seconds for a photograph; megabytes for 50 of them


def resident() -> float:
    """Megabytes that the process holds now; Linux."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def untrained(recipe_name: str) -> Captioner:
    """A captioner of the recipe's size with random weights, which writes captions of the greatest length."""
    recipe = read(recipe_name, [])
    letters = "abcdefghijklmnopqrstuvwxyz"
    made_up = [" ".join(a + b + c for c in letters) for a in letters for b in letters]
    words = WordVocabulary.train(made_up, size=recipe.vocabulary.size)
    settings = dict(recipe.model)
    model = build(settings, target_vocabulary=len(words)).eval()
    return Captioner(Stored(model, None, words, {"name": "untrained", "model": settings}))


def photographs(folder: Path, count: int) -> list[Path]:
    """Made-up photographs as large as a telephone's, each file listed several times."""
    generator = np.random.default_rng(0)
    found = []
    for number in range(DIFFERENT):
        coarse = Image.fromarray(generator.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        found.append(folder / f"{number}.jpg")
        coarse.resize((4000, 3000), Image.Resampling.BICUBIC).save(found[-1], quality=90)
    return (found * count)[:count]


def measure(captioner: Captioner, images: list[Path]) -> None:
    """Print both figures."""
    captioner.caption(images[:1])  # loads the network that reads photographs
    times, computing = [], []
    for image in images[:8]:
        started, busy = time.perf_counter(), time.process_time()
        captioner.caption([image])
        times.append(time.perf_counter() - started)
        computing.append(time.process_time() - busy)
    said = f"{captioner.name}: {statistics.median(times):.2f} s for one photograph (at most {SLOWEST})"
    print(f"{said}; {statistics.median(computing):.2f} s of computing on {torch.get_num_threads()} threads", flush=True)
    captioner.caption(images[:16])
    before = resident()
    captioner.caption(images)
    print(f"{len(images)} photographs in one call: {resident() - before:+.0f} MB, from {before:.0f} MB "
          f"(at most {GROWTH})")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="a published captioner or its folder")
    parser.add_argument("--images", type=Path, help="a folder of JPEG photographs")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    captioner = load(arguments.model, device="cpu") if arguments.model else untrained("flickr8k-soft")
    with tempfile.TemporaryDirectory() as folder:
        found = sorted(arguments.images.glob("*.jp*g")) if arguments.images else photographs(Path(folder), MANY)
        measure(captioner, found[:MANY])


if __name__ == "__main__":
    main()
