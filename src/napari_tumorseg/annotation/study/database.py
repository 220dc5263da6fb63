"""The database of a study: SQLite in its folder, or PostgreSQL by URL; transactions, and migrations at opening."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from napari_tumorseg.annotation.study.share import check_disk
from napari_tumorseg.core.errors import InputError, OutputError, TumorSegError

__all__ = ["FILE", "Database", "closed_on_error", "is_url", "refuse_password", "upgrade"]

#: Name of the SQLite file in a study's folder.
FILE = "study.sqlite"

# Locks of transactions on PostgreSQL: one for the audit log's end, one for setting up.
_AUDIT_LOCK, _SETUP_LOCK = 0x54535341, 0x54535355
_BUSY_S = 60.0
_WRITES = "tumorseg_writes"


def is_url(place: str) -> bool:
    """Whether a place is a database's URL and not a folder.

    Examples
    --------
    >>> is_url("postgresql://db.example/study"), is_url("C:/study"), is_url("study")
    (True, False, False)
    """
    return bool(re.match(r"[a-z][a-z0-9+]+://", place))


class Database:
    """Connections to one study's database.

    Parameters
    ----------
    url : sqlalchemy.engine.URL or str
        ``sqlite:///FILE`` or ``postgresql://...``; a password is better left to PostgreSQL's own password file.
    mounts : str, optional
        See `share.check_disk`.

    Raises
    ------
    InputError
        If the URL is of another database, or its driver is not installed.
    OutputError
        If an SQLite file lies where two machines cannot lock it.
    """

    def __init__(self, url: str, mounts: str | None = None) -> None:
        try:
            parsed = sa.make_url(url)
        except sa.exc.ArgumentError:
            raise InputError(f"{url} is no address of a database.", "Write postgresql://HOST/DATABASE.") from None
        kind = parsed.get_backend_name()
        self.is_sqlite = kind == "sqlite"
        if kind not in ("sqlite", "postgresql"):
            raise InputError(f"A study cannot be kept in {kind}.", "Use a folder, or postgresql://HOST/DATABASE.")
        self.name = parsed.render_as_string(hide_password=True)
        if self.is_sqlite:
            check_disk(Path(str(parsed.database)).parent, mounts)
            self.engine = _sqlite(parsed)
        else:
            self.engine = _postgresql(parsed)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Give a transaction that changes something; on SQLite it is alone from its first moment (BEGIN IMMEDIATE)."""
        with self._session(writes=True) as session:
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Give a transaction that only looks."""
        with self._session(writes=False) as session:
            yield session

    def lock_audit(self, session: Session) -> None:
        """Hold the end of the audit log until the transaction ends; the last lock that a transaction takes."""
        self._lock(session, _AUDIT_LOCK)

    def lock_setup(self, session: Session) -> None:
        """Hold the making of tasks, which two people must not do at once."""
        self._lock(session, _SETUP_LOCK)

    def upgrade(self) -> None:
        """Bring the tables to this program's revision."""
        with _readable(self.name), self.engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
            if not self.is_sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_SETUP_LOCK)))
            upgrade(connection)

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()

    def _lock(self, session: Session, number: int) -> None:
        # An SQLite transaction that writes is alone already.
        if not self.is_sqlite:
            session.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))

    @contextmanager
    def _session(self, *, writes: bool) -> Iterator[Session]:
        with _readable(self.name), self.engine.connect().execution_options(**{_WRITES: writes}) as connection:
            with Session(connection, expire_on_commit=False) as session, session.begin():
                yield session
            connection.commit()


@contextmanager
def closed_on_error(database: Database) -> Iterator[None]:
    """Let go of a database's connections when the block fails."""
    try:
        yield
    except BaseException:
        database.close()
        raise


def refuse_password(url: str) -> None:
    """Raise `InputError` for an address with a password in it, which would be written into the study's folder."""
    if is_url(url) and sa.make_url(url).password:
        raise InputError("The address of the database holds a password.", "Leave it out, and put it into ~/.pgpass or PGPASSWORD.")


def upgrade(connection: sa.Connection, revision: str = "head") -> None:
    """Bring tables to a revision, within the transaction of the connection.

    Raises
    ------
    InputError
        If a newer program made them.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    current = MigrationContext.configure(connection).get_current_revision()
    script = ScriptDirectory.from_config(config)
    known = {found.revision for found in script.walk_revisions()}
    if current is not None and current not in known:
        raise InputError("The study was made by a newer program.", "Install the newest version.")
    if current != (script.get_current_head() if revision == "head" else revision):
        command.upgrade(config, revision)


def _sqlite(url: sa.URL) -> sa.Engine:
    # Each transaction opens the file anew: nothing is held between them, so that a folder can be moved or copied.
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args={"timeout": _BUSY_S})

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        # The driver's own transactions begin too late; see SQLAlchemy, "Serializable isolation / savepoints" of pysqlite.
        connection.isolation_level = None
        for pragma in ("journal_mode=DELETE", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
            connection.execute(f"PRAGMA {pragma}").fetchall()

    @sa.event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "BEGIN")

    return engine


def _postgresql(url: sa.URL) -> sa.Engine:
    try:
        return sa.create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True, pool_size=2, max_overflow=4)
    except ModuleNotFoundError:
        raise InputError("The driver for PostgreSQL is not installed.", 'Type: pip install "napari-tumorseg[postgres]"') from None


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turn what a database says into a line for people."""
    try:
        yield
    except TumorSegError:
        raise
    except sa.exc.DBAPIError as error:
        text = str(error.orig).splitlines()[0] if str(error.orig) else type(error.orig).__name__
        with suppress(AttributeError):
            error.orig.__traceback__ = None  # type: ignore[union-attr]
        if "locked" in text or "busy" in text:
            raise OutputError("The study is busy: another program has held it for a minute.", "Try again.") from error
        if "only ever added" in text or "submitted" in text:
            raise InputError(f"The study refused a change: {text}.", "Results are never changed; add a new one.") from error
        if "not a database" in text or "malformed" in text:
            raise InputError(f"The study's database is damaged: {text}.", "Take the copy of your last backup.") from error
        if "readonly" in text or "unable to open" in text:
            raise OutputError(f"The study's database {name} cannot be written: {text}.", "Check the folder and its permissions.") from error
        raise OutputError(
            f"The study's database {name} does not answer: {text}.", "Check the address, the network and your rights."
        ) from error
