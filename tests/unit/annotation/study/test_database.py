"""Migrations, disks, addresses, and folders that are not what they should be."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from napari_tumorseg.annotation.study.database import Database, upgrade
from napari_tumorseg.annotation.study.protocol_file import load_protocol
from napari_tumorseg.annotation.study.share import check_disk
from napari_tumorseg.annotation.study.store import StudyStore
from napari_tumorseg.annotation.study.tables import APPEND_ONLY, Base
from napari_tumorseg.core.errors import InputError, OutputError

from .conftest import Hands, crossed, finish


@pytest.fixture(params=["sqlite", "postgresql"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    url = f"sqlite:///{tmp_path}/study.sqlite" if request.param == "sqlite" else request.getfixturevalue("database")
    found = Database(url)
    yield found
    found.close()


def test_the_migrations_make_the_tables_of_the_models(base: Database) -> None:
    base.upgrade()
    base.upgrade()
    with base.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    assert set(APPEND_ONLY) < set(Base.metadata.tables)


def test_an_earlier_revision_is_brought_up_with_its_data(base: Database) -> None:
    with base.engine.connect() as connection, connection.begin():
        upgrade(connection, "0001")
        connection.execute(sa.text("INSERT INTO plan (text, sha256, at_us) VALUES ('{}', 'x', 5)"))
        connection.execute(sa.text("UPDATE plan SET at_us = 6"))  # nothing forbade it then
    base.upgrade()
    with base.read() as session:
        assert session.execute(sa.text("SELECT text, at_us FROM plan")).all() == [("{}", 6)]
    with pytest.raises(InputError, match="only ever added"), base.write() as session:
        session.execute(sa.text("UPDATE plan SET at_us = 7"))


def test_a_newer_programs_tables_are_left_alone(base: Database) -> None:
    base.upgrade()
    with base.write() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(InputError, match="made by a newer program"):
        base.upgrade()


@pytest.mark.parametrize(("kind", "result"), [("ext4", ""), ("nfs4", "nfs4"), ("cifs", "cifs"), ("fuse.sshfs", None), ("fuse.s3fs", None)])
def test_a_disk_without_locks_is_refused(tmp_path: Path, kind: str, result: str | None) -> None:
    mounts = f"x / {kind} rw 0 0"
    if result is None:
        with pytest.raises(OutputError, match="two machines cannot lock a file"):
            StudyStore.create(tmp_path / "s", load_protocol("brats-mets-raters"), seed=1, mounts=mounts)
        assert not (tmp_path / "s").exists()
    else:
        assert check_disk(tmp_path, mounts) == result


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("mysql://host/x", "cannot be kept in mysql"),
        ("postgresql://", "does not answer"),
        ("postgresql://nobody:secret@127.0.0.1:1/none", "does not answer"),
        ("what is this://", "is no study"),
    ],
)
def test_an_address_that_leads_nowhere_is_told_without_its_password(url: str, word: str) -> None:
    with pytest.raises((InputError, OutputError), match=word) as error:
        StudyStore.open(url)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_password_is_not_written_into_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds a password") as error:
        StudyStore.create(tmp_path / "s", load_protocol("brats-mets-pipeline"), seed=1, database="postgresql://me:secret@host/study")
    assert "secret" not in str(error.value)
    assert not (tmp_path / "s").exists()


def test_folders_that_are_no_study_are_told(tmp_path: Path, hands: Hands) -> None:
    with pytest.raises(InputError, match=r"holds no study\.toml"):
        StudyStore.open(tmp_path)
    crossed(tmp_path / "s", hands).close()
    with pytest.raises(InputError, match="is not empty"):
        StudyStore.create(tmp_path / "s", load_protocol("brats-mets-raters"), seed=1)
    (tmp_path / "s" / "study.sqlite").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"study\.sqlite is not in"):
        StudyStore.open(tmp_path / "s")
    (tmp_path / "s" / "study.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(InputError, match="is damaged"):
        StudyStore.open(tmp_path / "s")


def test_a_study_that_was_moved_goes_on(tmp_path: Path, hands: Hands) -> None:
    study = crossed(tmp_path / "s", hands)
    finish(study, study.next_task("R1"))
    study.close()
    shutil.move(tmp_path / "s", tmp_path / "moved" / "further")
    again = StudyStore.open(tmp_path / "moved" / "further", clock=hands.clock)
    assert again.verify() == []
    got = again.next_task("R1")
    assert got.task is not None
    with pytest.raises(InputError, match=f"images of task {got.task.code} are not where the study has them"):
        again.case_folder(got.task)
    finish(again, got)


def test_a_closed_study_is_one_file(tmp_path: Path, hands: Hands) -> None:
    study = crossed(tmp_path / "s", hands)
    study.close()
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == ["plan.json", "protocol.toml", "signing.key", "study.sqlite", "study.toml"]
    assert (tmp_path / "s" / "signing.key").stat().st_mode & 0o077 == 0
    with sqlite3.connect(tmp_path / "s" / "study.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_team_opens_its_database_with_files_of_its_own(tmp_path: Path, hands: Hands, database: str) -> None:
    study = StudyStore.create(
        tmp_path / "s", load_protocol("brats-mets-pipeline"), seed=1, clock=hands.clock, database=database, files=str(tmp_path / "team")
    )
    by_url = StudyStore.open(database, files=tmp_path / "mounted")
    assert (study.files, by_url.files, by_url.uid) == (tmp_path / "team", tmp_path / "mounted", study.uid)
    with pytest.raises(InputError, match="There is a study in"):
        StudyStore.create(tmp_path / "t", load_protocol("brats-mets-pipeline"), seed=1, database=database)
    study.close()
    by_url.close()
