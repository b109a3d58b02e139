# One image per system, holding only that system's code: `docker build --target acb .`
# Targets: acb, tcos_party, ecos_party, meter_sim, cli; and `service` for what lives in services/:
# `docker build --target service --build-arg SYSTEM=registration .`

FROM python:3.11-slim AS dependencies
COPY requirements.lock /requirements.lock
RUN python -m venv --without-pip /venv \
 && pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check --require-hashes -q -r /requirements.lock \
 && cd /venv/lib/python3.11/site-packages \
 && rm -rf watchfiles websockets yaml _yaml dotenv sqlalchemy/dialects/mssql sqlalchemy/dialects/mysql sqlalchemy/dialects/oracle sqlalchemy/testing \
 && find . -type d \( -name tests -o -name test \) -prune -exec rm -rf {} + \
 && find . -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.c' -o -name '*.h' \) -delete

# What was taken out is missed by nobody: what falls back where it finds nothing is named too.
RUN /venv/bin/python -W error -c "import aiohttp, cryptography.x509, fastapi, httptools, httpx_aiohttp, lxml.etree, sqlalchemy.dialects.sqlite, structlog, tomli_w, typer, uvicorn, uvloop"

# The same without what only the command line needs: no terminal, no colours.
FROM dependencies AS service-dependencies
RUN cd /venv/lib/python3.11/site-packages \
 && rm -rf rich pygments markdown_it mdurl typer shellingham tomli_w

# Debian and Python without what installs, documents or tests: nothing here is ever installed.
# What is removed in one stage and copied into an empty one is not in the image at all.
FROM python:3.11-slim AS trimmed
RUN rm -rf /usr/local/lib/python3.11/site-packages/* /usr/local/bin/pip* \
      /usr/local/lib/python3.11/ensurepip /usr/local/lib/python3.11/idlelib \
      /usr/local/lib/python3.11/lib2to3 /usr/local/lib/python3.11/tkinter \
      /usr/local/lib/python3.11/turtledemo /usr/local/lib/python3.11/test \
      /usr/local/lib/python3.11/config-* /usr/local/include \
      /usr/share/doc /usr/share/man /usr/share/locale /usr/share/info \
      /usr/share/perl* /usr/lib/*/perl* /usr/lib/*/libperl* /usr/bin/perl* /usr/lib/*/gconv \
      /var/cache/* /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin cos

FROM scratch AS python
COPY --from=trimmed / /
ENV PATH=/venv/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN mkdir -p /data /tmp && chown cos:cos /data

# What every system stands on: key infrastructure and chassis. No party, no format it does not read.
FROM python AS base
COPY --from=service-dependencies /venv /venv
COPY services/__init__.py /app/services/
COPY services/chassis /app/services/chassis
COPY keys /app/keys

FROM base AS linked
COPY services/link /app/services/link

FROM linked AS acb
COPY gbcs /app/gbcs
COPY duis /app/duis
COPY acb /app/acb
USER cos
CMD ["python", "-m", "acb.main", "--config", "/data/config.toml"]

FROM linked AS tcos_party
COPY gbcs /app/gbcs
COPY duis /app/duis
COPY cos_party /app/cos_party
COPY tcos_party /app/tcos_party
USER cos
CMD ["python", "-m", "tcos_party.main", "--config", "/data/config.toml"]

FROM linked AS ecos_party
COPY gbcs /app/gbcs
COPY duis /app/duis
COPY cos_party /app/cos_party
COPY ecos_party /app/ecos_party
USER cos
CMD ["python", "-m", "ecos_party.main", "--config", "/data/config.toml"]

FROM base AS meter_sim
COPY gbcs /app/gbcs
COPY meter_sim /app/meter_sim
USER cos
CMD ["python", "-m", "meter_sim.main", "--config", "/data/config.toml"]

FROM linked AS service
ARG SYSTEM
COPY services/${SYSTEM} /app/services/${SYSTEM}
ENV SYSTEM=${SYSTEM}
USER cos
CMD ["sh", "-c", "exec python -m services.$SYSTEM.main --config /data/config.toml"]

# The supplier's and the operator's side. It holds the formats and no party's code.
FROM python AS cli
COPY --from=dependencies /venv /venv
COPY services/__init__.py /app/services/
COPY services/chassis /app/services/chassis
COPY services/link /app/services/link
COPY keys /app/keys
COPY gbcs /app/gbcs
COPY duis /app/duis
COPY stack /app/stack
COPY cli /app/cli
COPY tamper /app/tamper
COPY probe /app/probe
RUN for system in smki $(python -c "from stack.systems import SYSTEMS; print(*SYSTEMS)"); do \
      mkdir /data/$system; done && chown -R cos:cos /data
ENV COS_DATA=/data COS_OUT=/data/demo COS_CALLED="docker compose run --rm cli"
USER cos
ENTRYPOINT ["python", "-m", "cli"]
