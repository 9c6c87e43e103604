# Build: docker build -t clinicalgru .
#   with further extras: docker build -t clinicalgru --build-arg EXTRAS=sql,onnx .
# Run:   docker run --rm --read-only --network none --tmpfs /tmp -v "$PWD/in:/in:ro" -v "$PWD/out:/out" \
#            clinicalgru score /in/bundle /in/tonight.parquet --stays /in/stays.csv --out /out/scores --as-of "2031-01-01 06:00"
FROM python:3.11-slim

# the index of torch: builds for CPUs unless another one is named
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=sql

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 HOME=/tmp
WORKDIR /app
COPY constraints.txt pyproject.toml README.md LICENSE ./
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" -c constraints.txt torch
COPY clinicalgru ./clinicalgru
COPY data_schemas ./data_schemas
RUN pip install --no-cache-dir -c constraints.txt ".[$EXTRAS]" && python -m compileall -q /usr/local/lib/python3.11/site-packages/clinicalgru

# nothing is written but to mounted folders and /tmp; mount /out so that this user can write there
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin clinicalgru
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["clinicalgru"]
CMD ["--help"]
