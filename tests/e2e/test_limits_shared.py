"""Two SQL processes of one limited tenant on a real node: who needs more gets more."""

import asyncio

import grpc
import pytest

from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.client.meter import current_meter
from kvapi.client.token_calls import TokenCalls
from kvapi.pb import admin_pb2, admin_pb2_grpc
from runtime.clock import SystemClock
from runtime.tasks import spawn
from sqlnode.ru_meter import RuMeter
from sqlnode.throttle import Throttle
from tests.e2e.stack import USER, Stack

pytestmark = pytest.mark.e2e
KEYS = [b"\x02%d" % number for number in range(20)]


class Process:
    """What a SQL process is to the KV node: one stream, one meter, one bucket."""

    def __init__(self, stack, client_id):
        self.meter = RuMeter()
        self.client = KvClient(stack.running.kv, config=ClientConfig(), clock=SystemClock())
        self.client_id = client_id

    async def start(self, credential):
        await self.client.authenticate(credential)
        stream = self.client.stream
        loop = asyncio.get_running_loop()
        self.throttle = Throttle(
            self.meter, TokenCalls(stream).tokens, client_id=self.client_id, loop=loop
        )
        stream.on_limits = self.throttle.set_limits
        self.throttle.set_limits(stream.limits)

    async def read_on(self):
        """Run statements of 20 keys, one after the other, without end."""
        current_meter.set(self.meter)
        while True:
            if must_wait := self.throttle.must_wait():
                await self.throttle.wait(is_holder=False)
            self.throttle.begin(has_waited=must_wait)
            await self.client.multi_get(KEYS)

    async def close(self):
        self.throttle.close()
        await self.client.close()


def credential_of(stack, tenant):
    with grpc.insecure_channel(stack.running.admin) as channel:
        ask = admin_pb2.GetLoginRequest(tenant=tenant, user=USER)
        metadata = (("authorization", f"Bearer {stack.running.admin_token}"),)
        return admin_pb2_grpc.TenantAdminStub(channel).GetLogin(ask, metadata=metadata).credential


async def test_two_sql_processes_share_by_demand():
    """The busier process would be held to the same part as the one that does little."""
    with Stack() as stack:
        stack.create_tenant("shared")
        stack.insula("limits", "set", "shared", "--rate", "400", "--burst", "0")
        many, few = Process(stack, 1), Process(stack, 2)
        credential = credential_of(stack, "shared")
        tasks = []
        for process, connections in ((many, 9), (few, 3)):
            await process.start(credential)
            for _ in range(connections):
                tasks.append(spawn(process.read_on(), name="connection"))
        await asyncio.sleep(8)
        before = many.meter.ru(), few.meter.ru()
        await asyncio.sleep(10)
        used = many.meter.ru() - before[0], few.meter.ru() - before[1]
        for task in tasks:
            task.cancel()
        await many.close()
        await few.close()
    figures = f"{used[0] / 10:.0f} and {used[1] / 10:.0f} RU/s of 400, {used[0] / used[1]:.2f} : 1"
    print(f"\n{figures}")
    assert used[0] / used[1] == pytest.approx(3, rel=0.15), figures
    assert sum(used) / 10 == pytest.approx(400, rel=0.05), figures
