"""Triggers: what was written stays as it was.

Revision: 0002
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_APPEND_ONLY = ("version", "answer", "comment", "exclusion", "plan", "planted", "packed", "merged", "audit")
_DESIGN = "code, case_id, step, role, round, place, arm, start, practice, period, repeat, position"
_STUDY = "uid, seed, schema, protocol, protocol_sha256, public_key, created_us, package"
_ADDED = "entries are only ever added"
_SUBMITTED = "a submitted task is never changed"
_FIXED = "the design of a task is only ever added"
_LOCKED = "the data are locked: only ever added, never changed"


def upgrade() -> None:
    """Make the triggers of the database at hand."""
    if op.get_bind().dialect.name == "sqlite":
        _sqlite()
    else:
        _postgresql()


def _sqlite() -> None:
    for table in _APPEND_ONLY:
        for act in ("UPDATE", "DELETE"):
            op.execute(f"CREATE TRIGGER {table}_{act.lower()} BEFORE {act} ON \"{table}\" BEGIN SELECT RAISE(ABORT, '{_ADDED}'); END")
    for act in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER task_{act.lower()} BEFORE {act} ON task WHEN OLD.state = 'submitted' "
            f"BEGIN SELECT RAISE(ABORT, '{_SUBMITTED}'); END"
        )
    op.execute(f"CREATE TRIGGER task_design BEFORE UPDATE OF {_DESIGN} ON task BEGIN SELECT RAISE(ABORT, '{_FIXED}'); END")
    op.execute(f"CREATE TRIGGER study_design BEFORE UPDATE OF {_STUDY} ON study BEGIN SELECT RAISE(ABORT, '{_FIXED}'); END")
    op.execute(f"CREATE TRIGGER study_lock BEFORE UPDATE ON study WHEN OLD.locked_us <> 0 BEGIN SELECT RAISE(ABORT, '{_LOCKED}'); END")
    op.execute(f"CREATE TRIGGER study_delete BEFORE DELETE ON study BEGIN SELECT RAISE(ABORT, '{_ADDED}'); END")


def _postgresql() -> None:
    op.execute("CREATE FUNCTION tumorseg_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0]; END $$")
    for table in _APPEND_ONLY:
        _refuse(f"{table}_change", f'BEFORE UPDATE OR DELETE ON "{table}" FOR EACH ROW', _ADDED)
    for table in (*_APPEND_ONLY, "task", "study"):
        _refuse(f"{table}_truncate", f'BEFORE TRUNCATE ON "{table}" FOR EACH STATEMENT', _ADDED)
    _refuse("task_change", "BEFORE UPDATE OR DELETE ON task FOR EACH ROW WHEN (OLD.state = 'submitted')", _SUBMITTED)
    _refuse("task_design", f"BEFORE UPDATE OF {_DESIGN} ON task FOR EACH ROW", _FIXED)
    _refuse("study_design", f"BEFORE UPDATE OF {_STUDY} ON study FOR EACH ROW", _FIXED)
    _refuse("study_lock", "BEFORE UPDATE ON study FOR EACH ROW WHEN (OLD.locked_us <> 0)", _LOCKED)
    _refuse("study_delete", "BEFORE DELETE ON study FOR EACH ROW", _ADDED)


def _refuse(name: str, when: str, text: str) -> None:
    op.execute(f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION tumorseg_refuse('{text}')")
