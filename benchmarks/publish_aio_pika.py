"""aio-pika: a thousand messages published at once, their confirms awaited together."""

import asyncio
import time

import aio_pika

from benchmarks.contender import BODY, task, tell

BATCH = 1000


async def main() -> None:
    """Publish as asked."""
    asked = task()
    connection = await aio_pika.connect(asked.url)
    async with connection:
        channel = await connection.channel(publisher_confirms=True)
        exchange = channel.default_exchange
        sent, began = 0, time.perf_counter()
        while asked.wants_more(sent, began):
            batch = range(sent, sent + BATCH)
            messages = [aio_pika.Message(BODY, message_id=str(n), delivery_mode=aio_pika.DeliveryMode.PERSISTENT) for n in batch]
            await asyncio.gather(*(exchange.publish(message, routing_key=asked.queue) for message in messages))
            sent += BATCH
        tell(sent, began)


if __name__ == "__main__":
    asyncio.run(main())
