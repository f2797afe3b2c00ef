"""Connects a customer by a workflow in Python, which calls the activities of `relation-temporal`.

    pip install temporalio
    python temporal_onboard.py 127.0.0.1:7233 sys.Provider.Reseller.Contoso Contoso http://127.0.0.1:8400/callback

Prints the key of the consent link (`relation-temporal link KEY` shows the link), then reads the key of the stored callback
(`relation-temporal store callback`), and prints the result. If the consent fails, it deletes what it has made.
"""

import asyncio
import json
import sys
from datetime import timedelta

from temporalio import workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError
from temporalio.worker import Worker

# The task queue of `relation-temporal worker`, which runs the activities.
RELATION = "relation"
# The task queue of this worker, which runs the workflow alone.
QUEUE = "onboarding"


async def call(activity: str, **values):
    """Calls an activity of the relation worker. The failure's type says who must act next."""
    return await workflow.execute_activity(
        activity,
        values,
        task_queue=RELATION,
        start_to_close_timeout=timedelta(minutes=10),
        heartbeat_timeout=timedelta(seconds=15),
        retry_policy=RetryPolicy(maximum_attempts=5),
    )


@workflow.defn
class OnboardInPython:
    def __init__(self):
        self.link = None
        self.callback = None

    @workflow.signal
    def consented(self, key: str):
        self.callback = key

    @workflow.query
    def link_key(self) -> str | None:
        return self.link

    @workflow.run
    async def run(self, hierarchy: str, name: str, redirect_uri: str) -> dict:
        added = await call(
            "relation.add",
            hierarchy=hierarchy,
            fields={"name": name},
            idempotency_key=workflow.info().workflow_id,
        )
        pkid = added["report"]["pkid"]
        try:
            begun = await call("relation.connect", pkid=pkid, redirect_uri=redirect_uri)
            self.link = begun["report"]["link"]
            await workflow.wait_condition(lambda: self.callback is not None, timeout=timedelta(days=7))
            done = await call("relation.complete-connect", pkid=pkid, input=self.callback)
        except (ActivityError, asyncio.TimeoutError):
            await call("relation.delete", pkid=pkid)
            raise
        return {"pkid": pkid, "organization": done["report"]["organization"], "state": done["record"]["state"]}


async def main():
    address, hierarchy, name, redirect_uri = sys.argv[1:]
    client = await Client.connect(address)
    async with Worker(client, task_queue=QUEUE, workflows=[OnboardInPython]):
        started = await client.start_workflow(
            OnboardInPython.run, args=[hierarchy, name, redirect_uri], id=f"onboard-{name}", task_queue=QUEUE
        )
        while (link := await started.query(OnboardInPython.link_key)) is None:
            await asyncio.sleep(0.2)
        print(link, flush=True)
        callback = await asyncio.to_thread(sys.stdin.readline)
        await started.signal(OnboardInPython.consented, callback.strip())
        print(json.dumps(await started.result()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
