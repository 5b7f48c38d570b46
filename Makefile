# The commands of this project. `make` alone lists them; each sets up .venv first if need be.
PYTHON ?= python3
BIN := .venv/bin
# What readers install, and with the tools of the tests.
READY := .venv/ready
TESTED := .venv/ready-test
PIP := $(BIN)/python -m pip install --disable-pip-version-check
FAILED := { echo "The installation failed and pip's reason is above: check the network and the \
  free disk space, then run the same command again."; exit 1; }
# setuptools is pinned like the rest, although pip-compile leaves it out unless told.
COMPILE := $(BIN)/pip-compile --quiet --upgrade --strip-extras --no-header --no-annotate \
  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --unsafe-package pip
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
.PHONY: help book slides pdf test test-matrix binder links lint screenshots lighthouse mutants bench results lab notebooks assignments pins sbom clean

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
	@$(PIP) --requirement requirements.txt && $(PIP) --no-deps --editable . || $(FAILED)
	@touch $@

$(TESTED): requirements-test.txt $(READY)
	@rm -f $@
	@$(PIP) --requirement requirements-test.txt || $(FAILED)
	@touch $@

# A failed build is thrown away: Sphinx would not repeat the warnings of pages it has read.
book: $(READY)  ## build the book into _build/html and say which page to open
	@$(BIN)/jupyter-book build . -W -n --keep-going || { \
	  rm -rf _build/html; echo "The book has errors or warnings, listed above."; exit 1; }
	@echo "The book is built. Open $(CURDIR)/_build/html/index.html"

slides: $(READY)  ## make slides of each chapter from its notebooks, into _build/slides
	@$(BIN)/python book/slides/make_slides.py

pdf: $(TESTED)  ## print the book, into _build/small-weights.pdf (minutes)
	@$(BIN)/jupyter-book build . --builder singlehtml -W -n --keep-going
	@$(BIN)/python book/print/make_pdf.py

test: lint book  ## check the code, build the book, run the tests of package, notebooks and pages
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term

test-matrix: $(TESTED)  ## run the notebooks as other processors compute, and with other last bits
	$(BIN)/python tests/matrix.py

binder: $(TESTED)  ## replay Binder's steps in a clean environment: size, memory, every notebook
	$(BIN)/python tests/binder.py

links: $(READY)  ## ask the hosts of the book's links whether they are still there
	$(BIN)/jupyter-book build . --builder linkcheck --path-output _build/links

lint: $(TESTED)  ## check the style of the code, notebooks included, and the package's types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

mutants: $(TESTED)  ## break the package in a thousand small ways: do its tests notice?
	$(BIN)/python tests/mutants.py

bench: $(TESTED)  ## measure the engine's speed against other programs, into _build/bench.json
	$(BIN)/python tests/benchmarks

results: $(READY)  ## make the large results under book/results again (minutes)
	$(BIN)/python book/results/make_results.py

screenshots: $(TESTED) book  ## photograph every page, wide and on a phone, in light and dark, into _build
	$(BIN)/python tests/screenshots.py

lighthouse: $(TESTED) book  ## score three pages by Lighthouse, which npm fetches; fail below 95
	$(BIN)/python tests/lighthouse.py

lab: $(READY)  ## open the notebooks in JupyterLab
	$(BIN)/jupyter-lab --ServerApp.root_dir=book

notebooks: $(TESTED)  ## execute every notebook anew, normalize it, rewrite the pages made from them
	$(BIN)/python assignments/course.py pages
	$(BIN)/python tests/notebooks.py execute
	$(BIN)/python tests/claims.py
	$(BIN)/python tests/api.py

assignments: $(TESTED)  ## write a course for nbgrader; with STUDENTS=roster.csv SEED=7 a variant for each
	$(BIN)/python assignments/course.py release \
	  $(if $(STUDENTS),--students "$(STUDENTS)") $(if $(SEED),--seed "$(SEED)")

pins: $(TESTED)  ## compile both files of pins anew from the ranges in pyproject.toml
	$(COMPILE) --extra full --extra book --upgrade-package torch==$(TORCH) \
	  --output-file requirements.txt pyproject.toml
	@sed -i.bak 's/^\(torch==[0-9.]*\)+.*/\1/' requirements.txt && rm requirements.txt.bak
	@mkdir -p _build
	$(COMPILE) --all-extras --constraint requirements.txt --output-file _build/pins.txt pyproject.toml
	@{ echo "-r requirements.txt"; grep -vxFf requirements.txt _build/pins.txt | \
	  grep -v '^#\|^torch==\|^$$'; } > requirements-test.txt

sbom: $(TESTED)  ## write the software bill of materials into _build/sbom.json
	@mkdir -p _build
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --mc-type library \
	  --output-reproducible --output-file _build/sbom.json $(BIN)/python
	@sed -i.bak 's#"file://[^"]*"#"."#' _build/sbom.json && rm _build/sbom.json.bak  # whose folder

clean:  ## remove all that these commands have made: .venv, the built book and caches
	rm -rf .venv _build build mutants .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage code/*.egg-info
