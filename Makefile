# Needs only Python 3.11 or newer (with venv), git and make; works on Linux and macOS.
# Everything is installed into .venv, once; a changed requirements.lock or pyproject.toml installs again.

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
PORT ?= 8000
# One thread a process: the same sums in the same order on every machine.
export OMP_NUM_THREADS := 1
export PYTHONHASHSEED := 0

.PHONY: help book serve lab notebooks test lint test-all address clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

$(STAMP): requirements.lock pyproject.toml tools/make_venv.sh
	@sh tools/make_venv.sh $(VENV)
	@touch $@

book: $(STAMP) ## run the notebooks whose inputs changed, build the pages, print where to open them
	@$(PY) tools/build_book.py

serve: book ## build, then serve the pages on this machine (PORT=8000)
	@$(PY) -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

lab: $(STAMP) ## open the chapters in JupyterLab, to change and run them (LAB="--no-browser --allow-root" in a container)
	@$(VENV)/bin/jupyter lab $(LAB) book

notebooks: $(STAMP) ## run every notebook and store its clean outputs (N="book/05*.ipynb" for some)
	@$(PY) tools/run_notebooks.py $(N)

lint: $(STAMP) ## style, format, spelling, types, import contract
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(VENV)/bin/codespell
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports --no-cache --no-logo

test: lint ## everything that a change must pass
	@$(PY) tools/find_browser.py --install
	@$(PY) -m pytest tests -n 2 -m "not slow"
	@$(PY) tools/check_notebooks.py

test-all: test ## and the slow extras: newest Python, each notebook alone as in Colab
	@$(PY) -m pytest tests -n 2 -m slow
	@$(PY) tools/check_everywhere.py

address: $(STAMP) ## move every mention of the repository: make address URL=https://github.com/me/course
	@$(PY) tools/set_address.py "$(URL)"

clean: ## remove what was built (.venv stays)
	rm -rf _build build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
