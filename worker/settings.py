"""Settings of everything that talks to Kafka: from `SHOAL_*` in the environment, or given by the command line.

The rule: one place for each fact, checked before anything is connected. A secret is never in a `repr`, a log or an
error; it may be given by file (`SHOAL_SASL_PASSWORD_FILE`), which is how orchestrators hand them out.
"""

import getpass
import re
import socket
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.topics import BY_NAME, PREFIX_DEFAULT
from worker.errors import WrongUsage

__all__ = ["Settings", "load"]

# Each may be given by a file, too.
SECRETS = (
    "sasl_password", "ssl_key_password", "pseudonym_key", "pseudonym_keys_before", "webhook_secret",
    "audiences_write_key",
)  # fmt: skip


class Settings(BaseSettings):
    """What can be set; every member is `SHOAL_` and its name in upper case."""

    model_config = SettingsConfigDict(env_prefix="SHOAL_", extra="ignore", frozen=True, hide_input_in_errors=True)

    bootstrap_servers: str = Field(
        "localhost:9092",
        pattern=r"^[^\s,@]+:\d{1,5}(,[^\s,@]+:\d{1,5})*$",
        description="Brokers to begin with, host:port, commas between.",
    )
    topic_prefix: str = Field(
        PREFIX_DEFAULT, pattern=r"^[A-Za-z0-9._-]{0,64}$", description="Begins every topic's name."
    )
    input_topic: str | None = Field(None, description="Topic of the events; default: the prefix and `events`.")
    group: str = Field(
        f"{PREFIX_DEFAULT}workers",
        pattern=r"^[A-Za-z0-9._-]{1,128}$",
        description="Consumer group of the workers; by default the prefix and `workers`.",
    )
    instance_id: str = Field(default_factory=socket.gethostname, description="A worker's name among the others.")
    clock: Literal["wall", "event"] = Field("wall", description="What arrival is: the broker's clock, or event times.")
    start: Literal["earliest", "latest"] = Field("earliest", description="Where a partition without checkpoint begins.")
    grace_ms: int = Field(2_000, ge=0, le=86_400_000, description="How long stragglers are waited for.")
    accept_lost_records: bool = Field(
        False, description="Go on at the earliest record where retention took some that were never read."
    )

    http_host: str = Field("127.0.0.1", description="Address of /live, /ready and /metrics.")
    http_port: int = Field(8080, ge=0, le=65_535, description="Their port; 0: any free one, logged.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    sasl_password_file: Path | None = Field(None, description="A file that holds the password and nothing else.")
    ssl_cafile: Path | None = Field(None, description="Certificates to trust, PEM; default: the system's.")
    ssl_certfile: Path | None = Field(None, description="The client's own certificate, PEM.")
    ssl_keyfile: Path | None = Field(None, description="Its key, PEM.")
    ssl_key_password: SecretStr | None = None
    ssl_key_password_file: Path | None = Field(None, description="A file that holds the key's password.")

    operator: str | None = Field(
        None, min_length=1, max_length=256, description="Who runs commands, as their records say; default: the login."
    )
    pseudonym_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="Hides user ids in receipts and of erased users: a secret of 16 characters or more.",
    )
    pseudonym_key_file: Path | None = Field(None, description="A file that holds it.")
    pseudonym_key_version: int = Field(1, ge=1, le=65_535, description="To be raised with another key.")
    pseudonym_keys_before: SecretStr | None = Field(
        None,
        description="Keys that were used before, `version:key`, commas between: who was erased under them stays so.",
    )
    pseudonym_keys_before_file: Path | None = Field(None, description="A file that holds them.")

    batch_records_max: int = Field(20_000, ge=1, le=100_000, description="Records of a transaction, at most.")
    slice_users_max: int = Field(2_000, ge=1, le=100_000, description="Users of a storm or backfill per transaction.")
    commit_interval_ms: int = Field(30, ge=0, le=10_000, description="Least time between two commits of a partition.")
    commit_deadline_ms: int = Field(
        10_000, ge=100, le=300_000, description="A transaction that takes longer is given up."
    )
    request_timeout_ms: int = Field(20_000, ge=100, le=300_000, description="Of one request to a broker.")
    transaction_timeout_ms: int = Field(30_000, ge=1_000, le=900_000, description="The broker aborts it after this.")
    session_timeout_ms: int = Field(
        30_000, ge=1_000, le=900_000, description="A silent worker is taken for dead after this."
    )
    heartbeat_interval_ms: int = Field(1_000, ge=50, le=60_000)
    rebalance_timeout_ms: int = Field(60_000, ge=1_000, le=900_000)
    trainer_commit_interval_ms: int = Field(
        10_000, ge=0, le=600_000, description="Least time between two commits of what the trainer has learnt."
    )
    trainer_publish_interval_ms: int = Field(
        60_000, ge=0, le=86_400_000, description="Least time between two models that the trainer publishes."
    )
    webhook_url: str | None = Field(None, description="Where shoal sinks sends triggers.")
    webhook_secret: SecretStr | None = Field(
        None, description="Signs them: `whsec_` and base64; while it is changed two, a blank between."
    )
    webhook_secret_file: Path | None = Field(None, description="A file that holds it.")
    audiences_url: str | None = Field(
        None, description="Where shoal sinks sends audience events: a /v1/batch of Segment's kind."
    )
    audiences_write_key: SecretStr | None = Field(None, description="The write key of the source there.")
    audiences_write_key_file: Path | None = Field(None, description="A file that holds it.")
    audiences_topic: bool = Field(False, description="Have shoal sinks write audience events to `audience-events`.")
    sinks_allow_http: bool = Field(False, description="Let sinks send readably to other hosts.")
    sinks_cafile: Path | None = Field(None, description="Certificates that sinks trust, PEM; default: the system's.")
    sinks_timeout_ms: int = Field(10_000, ge=100, le=300_000, description="Of one request to an endpoint.")
    sinks_in_flight_max: int = Field(32, ge=1, le=1_000, description="Requests under way at once, of all partitions.")
    sinks_pause_ms: int = Field(500, ge=1, le=60_000, description="After a request's first failure; doubles with each.")
    sinks_pause_max_ms: int = Field(60_000, ge=1, le=3_600_000, description="The longest such pause.")
    lift_commit_interval_ms: int = Field(
        10_000, ge=0, le=600_000, description="Least time between two commits of what lift has counted."
    )
    lift_publish_interval_ms: int = Field(
        60_000, ge=0, le=86_400_000, description="Least time between two results of a campaign."
    )
    stuck_after_ms: int = Field(120_000, ge=1_000, description="Lag without a commit for this long ends the process.")

    @property
    def events_topic(self) -> str:
        """The topic that is read."""
        return self.input_topic or self.topic("events")

    @property
    def password(self) -> str | None:
        """The SASL password in the clear, for the client alone."""
        return self.sasl_password.get_secret_value() if self.sasl_password else None

    @property
    def pseudonym_keys(self) -> dict[int, bytes]:
        """The secrets behind pseudonyms by version, in the clear; none: pseudonyms are plain hashes."""
        if self.pseudonym_key is None:
            return {}
        before = self.pseudonym_keys_before.get_secret_value() if self.pseudonym_keys_before else ""
        found = dict(entry.strip().split(":", 1) for entry in before.split(",") if entry)
        found[str(self.pseudonym_key_version)] = self.pseudonym_key.get_secret_value()
        return {int(version): key.encode() for version, key in found.items()}

    @property
    def who(self) -> str:
        """Who runs a command: as told, else the login at the brokers, else the one of this machine."""
        return self.operator or self.sasl_username or getpass.getuser()

    def topic(self, name: str) -> str:
        """The full name of a topic of the table."""
        return self.topic_prefix + BY_NAME[name].name

    def transactional_id(self, partition: int) -> str:
        """The id that fences the owners of a partition of the state: no host, no group, no version."""
        return f"{self.topic_prefix}state.{partition}"

    @property
    def trainer(self) -> str:
        """The name of the trainers' group, and of the transactional id that fences them."""
        return f"{self.topic_prefix}trainer"

    def of_trainer(self) -> "Settings":
        """The settings under which a trainer is a member of a group of its own, as a worker is of the workers'.

        What that group shares out is `learner-state`, which has one partition: one trainer has it, the others wait.
        """
        state = self.topic("learner-state")
        return self.model_copy(update={"group": self.trainer, "input_topic": state})

    @property
    def lift(self) -> str:
        """The name of the group of those who measure lift, and of the transactional id that fences them."""
        return f"{self.topic_prefix}lift"

    def of_lift(self) -> "Settings":
        """The settings under which who measures lift is a member of a group of its own: it shares out `lift-state`."""
        return self.model_copy(update={"group": self.lift, "input_topic": self.topic("lift-state")})

    def sinks_id(self, partition: int) -> str:
        """The transactional id that fences the owners of a partition's deliveries."""
        return f"{self.topic_prefix}sinks.{partition}"

    def of_sinks(self) -> "Settings":
        """The settings under which sinks are members of a group of their own: it shares out `campaign-triggers`."""
        triggers = self.topic("campaign-triggers")
        return self.model_copy(update={"group": f"{self.topic_prefix}sinks", "input_topic": triggers})

    @model_validator(mode="before")
    @classmethod
    def _own_group(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {"group": f"{values.get('topic_prefix', PREFIX_DEFAULT)}workers", **values}

    @model_validator(mode="before")
    @classmethod
    def _read_passwords(cls, values: dict[str, Any]) -> dict[str, Any]:
        read = {name: _content(values, f"{name}_file") for name in SECRETS if values.get(name) is None}
        return {**values, **{name: content for name, content in read.items() if content is not None}}

    @model_validator(mode="after")
    def _security_is_whole(self) -> Self:
        if self.security_protocol.startswith("SASL"):
            if not self.sasl_username or not self.sasl_password:
                raise ValueError("SASL needs sasl_username and sasl_password (or sasl_password_file)")
            if self.sasl_mechanism == "PLAIN" and self.security_protocol == "SASL_PLAINTEXT":
                raise ValueError("PLAIN would send the password readable: use SASL_SSL, or SCRAM-SHA-512")
        return self

    @model_validator(mode="after")
    def _keys_have_versions(self) -> Self:
        if self.pseudonym_key is not None and "," in self.pseudonym_key.get_secret_value():
            raise ValueError("pseudonym_key has a comma, and so couldn't be among pseudonym_keys_before later")
        if self.pseudonym_keys_before is None:
            return self
        entries = [entry.strip() for entry in self.pseudonym_keys_before.get_secret_value().split(",")]
        if self.pseudonym_key is None or not all(re.fullmatch(r"[1-9][0-9]{0,4}:.{16,}", entry) for entry in entries):
            raise ValueError("pseudonym_keys_before is `version:key`, commas between, beside a pseudonym_key")
        if self.pseudonym_key_version <= max(int(entry.split(":")[0]) for entry in entries):
            raise ValueError("pseudonym_key_version has to be above those of pseudonym_keys_before")
        return self

    @model_validator(mode="after")
    def _timeouts_nest(self) -> Self:
        if not self.commit_deadline_ms < self.request_timeout_ms < self.transaction_timeout_ms:
            raise ValueError("commit_deadline_ms < request_timeout_ms < transaction_timeout_ms must hold")
        if not self.heartbeat_interval_ms < self.session_timeout_ms <= self.rebalance_timeout_ms:
            raise ValueError("heartbeat_interval_ms < session_timeout_ms <= rebalance_timeout_ms must hold")
        return self


def _content(values: dict[str, Any], file: str) -> str | None:
    if values.get(file) is None:
        return None
    try:
        return Path(values[file]).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"SHOAL_{file.upper()} {values[file]} can't be read ({type(error).__name__})") from None


def load(**given: object) -> Settings:
    """Read the settings from the environment; what is `given` and not None goes before it.

    Raises WrongUsage, one line per mistake, without the values.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        told = [_mistake(entry["loc"], entry["msg"]) for entry in error.errors(include_input=False, include_url=False)]
        raise WrongUsage("\n".join([*told, "The settings can't be used: correct the lines named above."])) from None


def _mistake(place: tuple[int | str, ...], message: str) -> str:
    name = f"SHOAL_{str(place[0]).upper()}: " if place else ""
    return name + message.removeprefix("Value error, ")
