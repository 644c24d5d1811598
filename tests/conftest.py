"""What every test shares: checked shapes, one thread, fixed seeds, and the folder of real data."""

import os
import random
from pathlib import Path

import jaxtyping

# Before the first import of the package: every annotated call is checked against its shapes and types.
hook = jaxtyping.install_import_hook("course_pkg", "beartype.beartype")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

SEED = 20150507
pytest_plugins = ["browser", "proofs"]

torch.set_num_threads(1)
if os.environ.get("COURSE_DATA"):  # a relative folder has to survive tests that change the working directory
    os.environ["COURSE_DATA"] = os.path.abspath(os.environ["COURSE_DATA"])


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """The same random numbers in each test, whichever tests ran before it."""
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002
    torch.manual_seed(SEED)


@pytest.fixture(scope="session")
def course_data() -> Path:
    """The folder of real data. Without it a test is skipped, but fails where ``CI`` is ``true``."""
    value = os.environ.get("COURSE_DATA")
    if value:
        if not Path(value).is_dir():
            pytest.fail(f"COURSE_DATA is {value}, which is not a folder")
        return Path(value)
    if os.environ.get("CI") == "true":
        pytest.fail("COURSE_DATA is not set, and where CI is true no test may go without its data")
    pytest.skip("needs real data: set COURSE_DATA to the folder that holds it")
