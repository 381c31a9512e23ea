"""Exercise 3.1: fair workers.

Brief  docs/module_3_messaging_patterns/exercises/ex_01_fair_workers.md
Check  ./lab check 3/ex_01
"""


def work(parameters, share, engrave, closing):
    """Take jobs off the queue ``engravings``, which is there, and pass the body of each to *engrave*, one at a time.

    Other workers take jobs off the same queue. Never keep more than *share* jobs from them: this counts every job that is no longer
    ready and not yet engraved, the one in the machine included.

    Acknowledge a job when ``engrave`` has returned for it, before the next one begins, and no sooner: the process may be killed at any
    time, and a job that was not engraved must not be lost. ``engrave`` may take much longer than the heartbeat of *parameters*, which
    stays as it is; the job is engraved once all the same.

    Ask *closing* before each job, and at least once a second while no job comes. When it says True, finish the job in the machine, if
    there is one, and acknowledge it; begin no other, give back what else you hold, and return. Until then wait for jobs. If ``engrave``
    raises an exception, the job goes back to the queue, and the exception to your caller. In either case no connection stays open.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        share: How many jobs this worker may hold at most, 1 or more.
        engrave: Called with the body of a job, as bytes. It returns when the job is done.
        closing: Called without arguments. Says True when the shop closes.

    Returns:
        How many jobs were engraved.
    """
    # TODO: consume, with a limit. Then: who sends the heartbeats while engrave is busy?
    raise NotImplementedError
