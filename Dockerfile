# The image of scripts/run_docker.sh: Flowpress in /flowpress with its environment and Horovod.
#   docker build --tag flowpress .
FROM python:3.11-slim-bookworm

RUN apt-get update \
 && apt-get install --yes --no-install-recommends cmake g++ make openssh-client \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /flowpress
# What changes least first: the packages are fetched and Horovod is built only when these change.
COPY pyproject.toml requirements.lock README.md LICENSE ./
RUN python -m venv .venv \
 && .venv/bin/python -m pip install --no-cache-dir --upgrade pip \
 && .venv/bin/python -m pip install --no-cache-dir -c requirements.lock '.[search,onnx]'
COPY scripts/install_horovod.sh scripts/
RUN scripts/install_horovod.sh && rm -rf ~/.cache

COPY . .
