"""pika's BlockingConnection without confirms: fast, and nobody knows what arrived."""

from benchmarks.publish_one_by_one import main

if __name__ == "__main__":
    main(confirms=False)
