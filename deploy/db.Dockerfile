# A storage node. From the repository's root: docker build -f deploy/db.Dockerfile -t ddb-db .
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv /tools && python -m venv --without-pip /opt/ddb
COPY requirements.txt deploy/build.txt deploy/db.txt ./
RUN /tools/bin/pip install -q -r build.txt \
 && /tools/bin/pip --python /opt/ddb/bin/python install -q -c requirements.txt -r db.txt
COPY pyproject.toml ./
COPY ddb ddb
RUN /tools/bin/pip wheel -q --no-deps --no-build-isolation -w dist . \
 && /tools/bin/pip --python /opt/ddb/bin/python install -q --no-deps dist/*.whl

FROM python:3.13-slim
RUN groupadd --gid 10001 ddb \
 && useradd --uid 10001 --gid ddb --no-create-home --home-dir /nonexistent ddb \
 && install -d -o ddb -g ddb -m 700 /data
COPY --from=build /opt/ddb /opt/ddb
ENV PATH=/opt/ddb/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 DDB_DATA=/data
USER ddb
VOLUME /data
EXPOSE 8081
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["ddb", "health"]
ENTRYPOINT ["ddb"]
CMD ["node"]
