# make demo: set up and run the main job.  make test: set up and run the tests.
PYTHON ?= python3
BIN := .venv/bin
TORCH_FLAGS ?=
# what installs packages into an environment: its pip, or with UV=1 uv, which is faster and reads no pip.conf
install = $(1)/pip install --quiet --disable-pip-version-check
ifdef UV
install = uv pip install --quiet --compile-bytecode --python $(1)/python
endif

.PHONY: demo lab dashboard docs test engines quick lowest lab-tests lint audit lock clean

demo: .venv/installed
	$(BIN)/clinicalgru demo --out out/demo

lab: .venv/installed
	$(BIN)/jupyter lab notebooks --LabApp.extension_manager=readonly --LabApp.news_url=None

# a worklist of simulated patients in the browser; the model is that of `make demo`
dashboard: .venv/installed
	test -d out/demo/bundle || $(BIN)/clinicalgru demo --out out/demo
	$(BIN)/clinicalgru dashboard --bundle out/demo/bundle --simulate 400

# the documentation, in out/docs: warnings are errors, links within it are checked
docs: .venv/docs-installed
	rm -rf docs/generated
	$(BIN)/python -m sphinx -b html -j 2 -q -W --keep-going docs out/docs

test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal -m "not lab"

# Spark and MLflow: several hundred megabytes, and Java
engines: .venv/engines-installed
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal -m "not lab" tests/serve/test_spark.py tests/serve/test_mlflow.py

quick: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal -m "not slow and not lab"

# the quick suite at the lowest versions that pyproject.toml allows, but for what only reads the package's own text
OF_TEXT := tests/test_architecture.py tests/test_docstrings.py
lowest: .venv-lowest/installed
	OMP_NUM_THREADS=1 .venv-lowest/bin/pytest -n 2 --dist worksteal -m "not slow and not lab" $(OF_TEXT:%=--ignore=%)

lab-tests: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal -m lab

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# a software bill of materials (CycloneDX), the licences and the known vulnerabilities, in out/audit
audit: .venv/installed .venv-audit/installed
	mkdir -p out/audit
	.venv-audit/bin/cyclonedx-py environment $(BIN)/python --output-file out/audit/sbom.json
	.venv-audit/bin/pip-licenses --python $(BIN)/python --format markdown --output-file out/audit/licences.md
	.venv-audit/bin/pip-audit --strict --disable-pip --require-hashes -r requirements.lock --output out/audit/vulnerabilities.json --format json

# requirements.lock: every package with the hashes of its files, but torch, of which each machine needs its own build
LOCKED := notebook sql ucum mlflow onnx tune sign images
lock: .venv-audit/installed
	mkdir -p out/audit
	echo "torch; python_version < '3'" > out/audit/without-torch.txt
	.venv-audit/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	    --custom-compile-command "make lock" $(LOCKED:%=--extra %) \
	    -c constraints.txt --override out/audit/without-torch.txt --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv .venv-lowest .venv-audit .venv-uv out

# torch comes first and on its own, so that no other package's wish brings another build of it
.venv/installed: pyproject.toml constraints.txt clinicalgru/model/network/scan.c
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH_FLAGS) -c constraints.txt torch
	$(call install,$(BIN)) -c constraints.txt -e ".[test,notebook,sql,ucum,survival,tune,onnx,sign,images]"
	touch $@

.venv/docs-installed: .venv/installed
	$(call install,$(BIN)) -c constraints.txt -e ".[docs]"
	touch $@

.venv/engines-installed: .venv/installed
	$(call install,$(BIN)) -c constraints.txt -e ".[spark,mlflow]"
	touch $@

.venv-lowest/installed: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/pip install --quiet --disable-pip-version-check $(TORCH_FLAGS) -c constraints-lowest.txt torch
	$(call install,.venv-lowest/bin) -c constraints-lowest.txt -e ".[test,notebook,sql,ucum,survival,tune,onnx,sign]"
	touch $@

.venv-audit/installed:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install --quiet --disable-pip-version-check uv pip-audit cyclonedx-bom pip-licenses
	touch $@
