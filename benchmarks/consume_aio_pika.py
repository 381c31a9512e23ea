"""aio-pika: its queue as an asynchronous iterator, an acknowledgement after each message."""

import asyncio
import time

import aio_pika

from benchmarks.contender import PREFETCH, task, tell


async def main() -> None:
    """Consume as asked."""
    asked = task()
    connection = await aio_pika.connect(asked.url)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        queue = await channel.get_queue(asked.queue)
        handled, began = 0, 0.0
        async with queue.iterator() as messages:
            async for message in messages:
                began = began or time.perf_counter()
                await message.ack()
                handled += 1
                if handled == asked.number:
                    break
        tell(handled, began)


if __name__ == "__main__":
    asyncio.run(main())
