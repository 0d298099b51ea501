"""A KV node process that only administers tenants, in memory: for tests of processes alone."""

import argparse
import asyncio
import json
import os
import signal
import time

import grpc

from kvapi.pb import admin_pb2, admin_pb2_grpc


class Admin(admin_pb2_grpc.TenantAdminServicer):
    """Tenants in a file of the data directory, so that a restart keeps them."""

    def __init__(self, path):
        self.path = path
        self.tenants = json.loads(path.read_text()) if path.exists() else {}
        self.watchers = set()

    def save(self, name, kind):
        self.path.write_text(json.dumps(self.tenants))
        tenant = self.message(name) if name in self.tenants else admin_pb2.Tenant(name=name)
        for queue in self.watchers:
            queue.put_nowait(admin_pb2.TenantEvent(kind=kind, tenant=tenant))

    def message(self, name):
        record = self.tenants[name]
        return admin_pb2.Tenant(
            id=record["id"],
            name=name,
            users=list(record["users"]),
            created_unix_ms=int(time.time() * 1e3),
            suspended=record.get("suspended", False),
        )

    async def CreateTenant(self, request, context):
        if request.name in self.tenants:
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, f"{request.name} exists")
        users = {request.user: request.scram_verifier}
        self.tenants[request.name] = {"id": len(self.tenants) + 1, "users": users}
        self.save(request.name, admin_pb2.TenantEvent.CREATED)
        return self.message(request.name)

    async def GetTenant(self, request, context):
        if request.name not in self.tenants:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no tenant {request.name}")
        return self.message(request.name)

    async def ListTenants(self, request, context):
        return admin_pb2.ListTenantsResponse(tenants=[self.message(n) for n in self.tenants])

    async def SetTenant(self, request, context):
        if request.HasField("suspended"):
            self.tenants[request.name]["suspended"] = request.suspended
        self.save(request.name, admin_pb2.TenantEvent.CHANGED)
        return self.message(request.name)

    async def GetLogin(self, request, context):
        if request.tenant not in self.tenants:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such tenant")
        record = self.tenants[request.tenant]
        return admin_pb2.Login(
            tenant_id=record["id"],
            tenant_name=request.tenant,
            scram_verifier=record["users"].get(request.user, ""),
            credential=b"credential-of-" + request.tenant.encode(),
            credential_life_s=600.0,
            suspended=record.get("suspended", False),
        )

    async def WatchTenants(self, request, context):
        await context.send_initial_metadata(())
        queue = asyncio.Queue()
        self.watchers.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self.watchers.discard(queue)


async def run(given):
    server = grpc.aio.server()
    admin_pb2_grpc.add_TenantAdminServicer_to_server(Admin(given.data_dir / "fake.json"), server)
    port = server.add_insecure_port(given.admin)
    (given.data_dir / "admin.token").write_text("token")
    await server.start()
    host = given.admin.rpartition(":")[0]
    ready = {"kv": given.kv, "admin": f"{host}:{port}", "unix": given.unix, "http": "127.0.0.1:1"}
    with os.fdopen(given.ready_fd, "w") as file:
        file.write(json.dumps(ready) + "\n")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    os._exit(0)  # a fake has nothing to save, and gRPC's aio server ends with a traceback


if __name__ == "__main__":
    from pathlib import Path

    parser = argparse.ArgumentParser()
    for name in ("--unix", "--kv", "--admin", "--http"):
        parser.add_argument(name)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--ready-fd", type=int)
    asyncio.run(run(parser.parse_args()))
