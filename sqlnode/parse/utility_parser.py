"""Grammar of SET, SHOW, RESET, transactions, DISCARD, LISTEN, LOCK, GRANT and maintenance commands.

**Source.** gram.y `VariableSetStmt`, `TransactionStmt`, `LockStmt`, `GrantStmt`, `VacuumStmt`.
"""

from pgwire.errors import SqlSyntaxError
from sqlnode.parse.dml import DmlParser
from sqlnode.parse.query_syntax import PastTime, TableRef
from sqlnode.parse.tokens import TokenKind
from sqlnode.parse.utility import (
    Begin,
    CancelJob,
    Commit,
    Discard,
    Grant,
    Listen,
    LockTable,
    Maintenance,
    Notify,
    ReleaseSavepoint,
    ResetVariable,
    Rollback,
    RollbackToSavepoint,
    Savepoint,
    SetConstraints,
    SetTransaction,
    SetVariable,
    ShowJobs,
    ShowVariable,
    TransactionModes,
    Unlisten,
)

_ISOLATION = (
    ("serializable",),
    ("repeatable", "read"),
    ("read", "committed"),
    ("read", "uncommitted"),
)


class UtilityParser(DmlParser):
    """Adds session commands to the cursor."""

    # SET, RESET, SHOW

    def set_command(self) -> SetVariable | SetTransaction | SetConstraints:
        """Take SET after the word itself."""
        if self.accept("constraints"):
            return self._set_constraints()
        if self.accept("session", "characteristics", "as", "transaction"):
            return SetTransaction(self.transaction_modes(), for_session=True)
        is_local = self.accept("local")
        if not is_local and self.peek("session") and self.look().value != "authorization":
            self.advance()
        if self.accept("transaction"):
            if self.peek("snapshot"):
                raise self.unsupported("SET TRANSACTION SNAPSHOT")
            return SetTransaction(self.transaction_modes())
        return self._set_variable(is_local=is_local)

    def _set_variable(self, *, is_local: bool) -> SetVariable:
        if self.accept("time", "zone"):
            return SetVariable("timezone", self._time_zone(), is_local)
        if self.accept("session", "authorization"):
            return SetVariable("session_authorization", self._one_value(), is_local)
        if self.accept("names"):
            values = None if self.at_end or self.accept("default") else (self.string(),)
            return SetVariable("client_encoding", values, is_local)
        if self.peek("role") and not self._assigns(self.look().value):
            self.advance()
            return SetVariable("role", self._one_value(), is_local)
        if self.peek("schema") and not self._assigns(self.look().value):
            self.advance()
            return SetVariable("search_path", (self.string(),), is_local)
        name = self.variable_name()
        if not self.accept_symbol("=") and not self.accept("to"):
            raise self.error()
        if self.accept("default"):
            return SetVariable(name, None, is_local)
        return SetVariable(name, self._values(), is_local)

    @staticmethod
    def _assigns(word: str) -> bool:
        return word in ("to", "=", ".")

    def variable_name(self) -> str:
        """Take a parameter's name, with its prefix if it has one, in lower case."""
        parts = [self.identifier()]
        while self.accept_symbol("."):
            parts.append(self.label())
        return ".".join(parts).lower()

    def _values(self) -> tuple[str, ...]:
        values = [self._value()]
        while self.accept_symbol(","):
            values.append(self._value())
        return tuple(values)

    def _value(self) -> str:
        """Take a word, a string or a number, as text."""
        token = self.token
        if token.kind in (TokenKind.STRING, TokenKind.QUOTED):
            return self.advance().value
        if token.kind is TokenKind.WORD:
            if token.value in ("true", "false", "on"):
                return self.advance().value
            return self.non_reserved_word()
        sign = self.accept_symbol("+", "-") or ""
        token = self.token
        if token.kind not in (TokenKind.INTEGER, TokenKind.NUMERIC):
            raise self.error()
        self.advance()
        return ("-" if sign == "-" else "") + token.value

    def _one_value(self) -> tuple[str, ...] | None:
        if self.accept("default"):
            return None
        return (self._value(),)

    def _time_zone(self) -> tuple[str, ...] | None:
        if self.accept_any("default", "local"):
            return None
        if self.accept("interval"):
            text = self.string()
            if self.accept("hour", "to", "minute") or self.accept("hour"):
                pass
            return (text,)
        return (self._value(),)

    def _set_constraints(self) -> SetConstraints:
        names: list[str] = []
        if not self.accept("all"):
            names.append(self.qualified_name()[-1])
            while self.accept_symbol(","):
                names.append(self.qualified_name()[-1])
        return SetConstraints(tuple(names), self.expect_any("deferred", "immediate") == "deferred")

    def reset_command(self) -> ResetVariable:
        """Take RESET after the word itself."""
        return ResetVariable(self._special_name())

    def show_command(self) -> ShowVariable | ShowJobs:
        """Take SHOW after the word itself."""
        if self.accept("jobs"):
            return ShowJobs()
        if self.accept("job"):
            return ShowJobs(self.integer())
        return ShowVariable(self._special_name())

    def _special_name(self) -> str | None:
        if self.accept("all"):
            return None
        if self.accept("time", "zone"):
            return "timezone"
        if self.accept("transaction", "isolation", "level"):
            return "transaction_isolation"
        if self.accept("session", "authorization"):
            return "session_authorization"
        return self.variable_name()

    def cancel_command(self) -> CancelJob:
        """Take CANCEL after the word itself."""
        self.expect("job")
        return CancelJob(self.integer())

    # Transactions

    def begin(self, *, is_start: bool) -> Begin:
        """Take BEGIN or START TRANSACTION after its words."""
        return Begin(self.transaction_modes(required=False), is_start)

    def transaction_modes(self, *, required: bool = True) -> TransactionModes:
        """Take ISOLATION LEVEL, READ ONLY, DEFERRABLE, AS OF SYSTEM TIME in any order."""
        isolation: str | None = None
        read_only: bool | None = None
        deferrable: bool | None = None
        as_of: PastTime | None = None
        count = 0
        while not self.at_end and not self.peek_symbol(";"):
            if count:
                self.accept_symbol(",")
            if self.accept("isolation", "level"):
                isolation = self._isolation()
            elif self.accept("read", "only"):
                read_only = True
            elif self.accept("read", "write"):
                read_only = False
            elif self.accept("deferrable"):
                deferrable = True
            elif self.accept("not", "deferrable"):
                deferrable = False
            elif self.peek_past_time() and as_of is None:
                as_of = self.past_time()
            else:
                raise self.error()
            count += 1
        if required and not count:
            raise self.error()
        return TransactionModes(isolation, read_only, deferrable, as_of)

    def _isolation(self) -> str:
        for words in _ISOLATION:
            if self.accept(*words):
                return " ".join(words)
        raise self.error()

    def _chain(self) -> bool:
        if not self.accept("and"):
            return False
        if self.accept("no"):
            self.expect("chain")
            return False
        self.expect("chain")
        return True

    def commit(self) -> Commit:
        """Take COMMIT or END after the word itself."""
        if self.peek("prepared"):
            raise self.unsupported("COMMIT PREPARED")
        self.accept_any("work", "transaction")
        return Commit(self._chain())

    def rollback(self) -> Rollback | RollbackToSavepoint:
        """Take ROLLBACK or ABORT after the word itself."""
        if self.peek("prepared"):
            raise self.unsupported("ROLLBACK PREPARED")
        self.accept_any("work", "transaction")
        if self.accept("to"):
            self.accept("savepoint")
            return RollbackToSavepoint(self.identifier())
        return Rollback(self._chain())

    def savepoint(self) -> Savepoint:
        """Take SAVEPOINT after the word itself."""
        return Savepoint(self.identifier())

    def release(self) -> ReleaseSavepoint:
        """Take RELEASE after the word itself."""
        self.accept("savepoint")
        return ReleaseSavepoint(self.identifier())

    # The rest

    def discard(self) -> Discard:
        """Take DISCARD after the word itself."""
        what = self.expect_any("all", "plans", "sequences", "temp", "temporary")
        return Discard("temp" if what == "temporary" else what)

    def listen(self) -> Listen:
        """Take LISTEN after the word itself."""
        return Listen(self.identifier())

    def unlisten(self) -> Unlisten:
        """Take UNLISTEN after the word itself."""
        return Unlisten(None if self.accept_symbol("*") else self.identifier())

    def notify(self) -> Notify:
        """Take NOTIFY after the word itself."""
        channel = self.identifier()
        return Notify(channel, self.string() if self.accept_symbol(",") else "")

    def lock_table(self) -> LockTable:
        """Take LOCK after the word itself."""
        self.accept("table")
        tables = self._relations()
        mode = "access exclusive"
        if self.accept("in"):
            words = []
            while not self.peek("mode"):
                words.append(self.expect_any("access", "row", "share", "update", "exclusive"))
            self.advance()
            mode = " ".join(words)
        return LockTable(tables, mode, self.accept("nowait"))

    def _relations(self) -> tuple[TableRef, ...]:
        tables = [self._relation()]
        while self.accept_symbol(","):
            tables.append(self._relation())
        return tuple(tables)

    def _relation(self) -> TableRef:
        position = self.position
        self.accept("only")
        name = self.qualified_name()
        if self.peek_symbol("("):
            self.identifier_list()
        return TableRef(name, None, position)

    def maintenance(self, kind: str) -> Maintenance:
        """Take ANALYZE, VACUUM, CHECKPOINT, REINDEX or CLUSTER after the word itself."""
        options: list[str] = []
        if self.accept_symbol("("):
            while not self.accept_symbol(")"):
                if self.at_end:
                    raise self.error()
                options.append(self.advance().value)
        while word := self.accept_any("full", "freeze", "verbose", "analyze", "analyse"):
            options.append(word)
        if kind == "REINDEX":
            self.expect_any("index", "table", "schema", "database", "system")
            self.accept("concurrently")
        if self.at_end or self.peek_symbol(";"):
            return Maintenance(kind, (), tuple(options))
        tables = self._relations()
        if kind == "CLUSTER" and self.accept("using"):
            self.identifier()
        return Maintenance(kind, tables, tuple(options))

    def grant(self, kind: str) -> Grant:
        """Take GRANT or REVOKE after the word itself."""
        with_option = False
        if kind == "REVOKE" and self.accept_any("grant", "admin"):
            self.expect("option", "for")
            with_option = True
        words = self._privileges()
        object_kind = "role"
        names: tuple[tuple[str, ...], ...] = tuple((word,) for word in words)
        if self.accept("on"):
            object_kind, names = self._grant_objects()
        else:
            words = ()
        self.expect("to" if kind == "GRANT" else "from")
        grantees = [self._grantee()]
        while self.accept_symbol(","):
            grantees.append(self._grantee())
        if self.accept("with"):
            self.expect_any("grant", "admin")
            self.accept_any("option", "true", "false")
            with_option = True
        if self.accept("granted", "by"):
            self._grantee()
        self.accept_any("cascade", "restrict")
        return Grant(kind, words, object_kind, names, tuple(grantees), with_option)

    def _privileges(self) -> tuple[str, ...]:
        if self.accept("all"):
            self.accept("privileges")
            return ("all",)
        words = [self.label()]
        while self.accept_symbol(","):
            words.append(self.label())
        if self.peek_symbol("("):
            raise self.unsupported("a privilege on columns")
        return tuple(words)

    def _grant_objects(self) -> tuple[str, tuple[tuple[str, ...], ...]]:
        if self.accept("all"):
            kind = self.expect_any("tables", "sequences", "functions", "procedures", "routines")
            self.expect("in", "schema")
            kind = f"all {kind} in schema"
        else:
            kind = (
                self.accept_any("table", "sequence", "schema", "database", "function", "type")
                or "table"
            )
        names = [self.qualified_name()]
        while self.accept_symbol(","):
            names.append(self.qualified_name())
        if self.peek_symbol("("):
            raise self.unsupported("a privilege on functions")
        return kind, tuple(names)

    def _grantee(self) -> str:
        self.accept("group")
        token = self.token
        if token.kind is TokenKind.WORD and token.value in ("current_user", "session_user"):
            return self.advance().value
        if self.at_end:
            raise SqlSyntaxError("syntax error at end of input", position=self.position)
        return self.label()
