"""The usual loop with one acknowledgement for 50 messages, which one thread that handles them in order can give."""

from benchmarks.consume_usual import main

if __name__ == "__main__":
    main(every=50)
