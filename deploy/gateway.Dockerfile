# A gateway, with the API acceptance tests. From the repository's root:
# docker build -f deploy/gateway.Dockerfile -t ddb-gateway .
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv /tools && python -m venv --without-pip /opt/ddb
COPY requirements.txt deploy/build.txt deploy/gateway.txt deploy/test.txt ./
RUN /tools/bin/pip install -q -r build.txt \
 && /tools/bin/pip --python /opt/ddb/bin/python install -q \
    -c requirements.txt -r gateway.txt -r test.txt
COPY pyproject.toml ./
COPY ddb ddb
RUN /tools/bin/pip wheel -q --no-deps --no-build-isolation -w dist . \
 && /tools/bin/pip --python /opt/ddb/bin/python install -q --no-deps dist/*.whl

FROM python:3.13-slim
RUN groupadd --gid 10001 ddb \
 && useradd --uid 10001 --gid ddb --no-create-home --home-dir /nonexistent ddb
COPY --from=build /opt/ddb /opt/ddb
# `pytest` in this folder runs the acceptance tests of the API through this gateway.
WORKDIR /app
COPY pyproject.toml ./
COPY tests tests
ENV PATH=/opt/ddb/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PORT=8080 \
    DDB_URL=http://127.0.0.1:8080 PYTEST_ADDOPTS="-p no:cacheprovider"
USER ddb
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["ddb", "health", "--gateway"]
ENTRYPOINT ["ddb"]
CMD ["gateway"]
