# The commands of this project. `make` alone lists them; each sets up .venv first if need be.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
# One release for every reader: its printed digits are the ones on the pages.
TORCH := 2.13.0

# A PYTHON given by hand that .venv was not made with makes .venv anew.
ifneq ($(origin PYTHON),file)
ifneq ($(shell "$(PYTHON)" -V 2>&1),$(shell $(BIN)/python -V 2>&1))
RENEW := --clear
.PHONY: $(READY)
endif
endif

.DEFAULT_GOAL := help
.PHONY: help book test test-matrix lint screenshots lighthouse mutants bench results lab notebooks assignments pins clean

help:  ## show these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' Makefile

$(READY): requirements.txt pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "No interpreter '$(PYTHON)' found: install Python 3.11 or newer, or name one with make PYTHON=/path/to/python3.11."; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Small Weights needs Python 3.11 or newer, and '$(PYTHON)' is $$("$(PYTHON)" -V 2>&1): name a newer one with make PYTHON=python3.12."; exit 1; }
	@echo "Setting up .venv; the first time takes a few minutes."
	@rm -f $@
	@"$(PYTHON)" -m venv $(RENEW) .venv || { \
	  echo "Python could not make .venv: install its venv module (on Debian and Ubuntu the package python3-venv), then run the same command again."; exit 1; }
	@$(BIN)/python -m pip install --disable-pip-version-check --requirement requirements.txt && \
	  $(BIN)/python -m pip install --disable-pip-version-check --no-deps --editable . || { \
	  echo "The installation failed and pip's reason is above: check the network and the free disk space, then run the same command again."; exit 1; }
	@touch $@

# A failed build is thrown away: Sphinx would not repeat the warnings of pages it has read.
book: $(READY)  ## build the book into _build/html and say which page to open
	@$(BIN)/jupyter-book build . -W -n --keep-going || { \
	  rm -rf _build/html; echo "The book has errors or warnings, listed above."; exit 1; }
	@echo "The book is built. Open $(CURDIR)/_build/html/index.html"

test: lint book  ## check the code, build the book, run the tests of package, notebooks and pages
	$(BIN)/python -m pytest tests -n 2 --dist loadfile --cov --cov-report=term
	$(BIN)/python -m pytest book -n 2 --dist loadfile

test-matrix: $(READY)  ## run the notebooks on three instruction sets, with one and two threads
	$(BIN)/python tests/matrix.py

lint: $(READY)  ## check the style of the code, notebooks included
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

mutants: $(READY)  ## break the package in a thousand small ways: do its tests notice?
	$(BIN)/python tests/mutants.py

bench: $(READY)  ## measure the engine's speed against other programs, into _build/bench.json
	$(BIN)/python tests/benchmarks

results: $(READY)  ## make the large results under book/results again (minutes)
	$(BIN)/python book/results/make_results.py

screenshots: book  ## photograph every page, wide and on a phone, in light and dark, into _build
	$(BIN)/python tests/screenshots.py

lighthouse: book  ## score three pages by Lighthouse, which npm fetches; fail below 95
	$(BIN)/python tests/lighthouse.py

lab: $(READY)  ## open the notebooks in JupyterLab
	$(BIN)/jupyter-lab --ServerApp.root_dir=book

notebooks: $(READY)  ## execute every notebook anew, normalize it, rewrite the index of claims
	$(BIN)/python assignments/course.py pages
	$(BIN)/python tests/notebooks.py execute
	$(BIN)/python tests/claims.py

assignments: $(READY)  ## write a course for nbgrader; with STUDENTS=roster.csv SEED=7 a variant for each
	$(BIN)/python assignments/course.py release \
	  $(if $(STUDENTS),--students "$(STUDENTS)") $(if $(SEED),--seed "$(SEED)")

pins: $(READY)  ## compile requirements.txt anew from the ranges in pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --all-extras --strip-extras --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  --upgrade-package torch==$(TORCH) --output-file requirements.txt pyproject.toml
	@sed -i.bak 's/^\(torch==[0-9.]*\)+.*/\1/' requirements.txt && rm requirements.txt.bak

clean:  ## remove all that these commands have made: .venv, the built book and caches
	rm -rf .venv _build build mutants .pytest_cache .ruff_cache .hypothesis .coverage code/*.egg-info
