# One image per system, holding only that system's code: `docker build --target acb .`
# Targets: acb, tcos_party, ecos_party, meter_sim, registration, smki_repository, cli.

FROM python:3.11-slim AS dependencies
COPY requirements.lock /requirements.lock
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -q -r /requirements.lock

# What every system stands on: key infrastructure and chassis. No party, no format it does not read.
FROM python:3.11-slim AS base
COPY --from=dependencies /venv /venv
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin cos \
 && mkdir /data && chown cos:cos /data
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
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

FROM linked AS registration
COPY services/registration /app/services/registration
USER cos
CMD ["python", "-m", "services.registration.main", "--config", "/data/config.toml"]

FROM linked AS smki_repository
COPY services/smki_repository /app/services/smki_repository
USER cos
CMD ["python", "-m", "services.smki_repository.main", "--config", "/data/config.toml"]

# The supplier's and the operator's side. It holds the formats and no party's code.
FROM linked AS cli
COPY gbcs /app/gbcs
COPY duis /app/duis
COPY cli /app/cli
COPY tamper /app/tamper
COPY probe /app/probe
RUN for system in acb tcos_party ecos_party meter_sim registration smki_repository smki; do \
      mkdir /data/$system; done && chown -R cos:cos /data
ENV COS_DATA=/data COS_OUT=/data/demo COS_CALLED="docker compose run --rm cli"
USER cos
ENTRYPOINT ["python", "-m", "cli"]
