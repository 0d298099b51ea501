"""A zygote whose SQL processes know a handful of statements and no KV stream.

`select pid` returns the process id, `select sleep` waits to be cancelled, `select tenant` names
the tenant.
"""

import asyncio
import contextlib
import os
import socket
import sys

from pgwire.connection import ServerConnection
from pgwire.errors import AdminShutdown, QueryCanceled
from pgwire.frames import Query, Terminate
from pgwire.messages import (
    FieldDescription,
    backend_key_data,
    command_complete,
    data_row,
    error_response,
    parameter_status,
    ready_for_query,
    row_description,
)
from sqlnode.zygote import run_zygote


class EchoSession:
    """One session of the echo server."""

    def __init__(self, sock, hello):
        self.sock, self.hello = sock, hello
        self.loop = asyncio.get_running_loop()
        self.running = None
        self.reading = None
        self.is_draining = False

    def cancel_statement(self):
        if self.running is not None:
            self.running.cancel()

    def request_drain(self):
        self.is_draining = True
        if self.running is None and self.reading is not None:
            self.reading.cancel()

    async def run(self):
        hello = self.hello
        await self.loop.sock_sendall(
            self.sock,
            parameter_status("server_version", "16.0")
            + parameter_status("client_encoding", "UTF8")
            + backend_key_data(hello.backend_pid, hello.secret_key)
            + ready_for_query("I"),
        )
        connection = ServerConnection()
        connection.feed(hello.buffered)
        while not self.is_draining:
            self.reading = asyncio.ensure_future(self.loop.sock_recv(self.sock, 65536))
            try:
                data = await self.reading
            except asyncio.CancelledError:
                if self.is_draining:
                    break
                raise
            if not data:
                return
            connection.feed(data)
            while (frame := connection.next_frame()) is not None:
                if isinstance(frame, Terminate):
                    return
                if isinstance(frame, Query):
                    await self.loop.sock_sendall(self.sock, await self.answer(frame.sql))
        await self.loop.sock_sendall(self.sock, error_response(AdminShutdown("drained")))

    async def answer(self, statement):
        words = {
            "select pid": str(os.getpid()),
            "select tenant": self.hello.tenant_name,
            "select user": self.hello.user,
            "select database": self.hello.database,
        }
        if statement.strip() == "select sleep":
            self.running = asyncio.ensure_future(asyncio.sleep(30))
            try:
                await self.running
            except asyncio.CancelledError:
                return error_response(QueryCanceled("canceled")) + ready_for_query("I")
            finally:
                self.running = None
        text = words.get(statement.strip(), statement)
        fields = [FieldDescription("echo", 25, -1)]
        rows = row_description(fields) + data_row([text.encode()])
        return rows + command_complete("SELECT 1") + ready_for_query("I")


class EchoServing:
    """Implements sqlnode.control.Serving."""

    def __init__(self, options):
        self.options = options

    async def connect(self):
        pass

    async def bind(self, assign):
        assert assign.credential

    def renew(self, credential):
        pass

    async def serve(self, sock: socket.socket, hello, registry):
        session = EchoSession(sock, hello)
        registry.add(hello.session_id, session)
        with contextlib.suppress(OSError):
            await session.run()

    def refuse(self, sock, error):
        sock.close()

    async def close(self):
        pass


if __name__ == "__main__":
    run_zygote(sys.argv[1:], EchoServing)
