"""Records that are written in bulk, to a producer that the tests make up."""

from kraftd.kafka.model import CREATE_TIME, Records
from kraftd.kafka.records.sending import RecordWriter
from kraftd.plan.plan import Access

ACCESS = Access(("127.0.0.1:1",), ())


class FullProducer:
    """Takes records until its queue is full, and makes room for them as it is polled.

    Attributes:
        room: How many records it can queue.
    """

    def __init__(self, room):
        self.room = self.free = room
        self.values = []

    def produce(self, topic, value, key, partition, on_delivery, *, timestamp, headers):
        if not self.free:
            raise BufferError("Local: Queue full")
        self.free -= 1
        self.values.append(value)

    def poll(self, wait_s):
        self.free = self.room

    def __len__(self):
        return 0


def test_a_frame_that_is_larger_than_the_queue_is_written_in_order_and_whole():
    producer = FullProducer(room=2)
    values = [b"%d" % number for number in range(7)]
    frame = Records(range(7), [1000] * 7, [CREATE_TIME] * 7, [None] * 7, values, {})

    RecordWriter(ACCESS, lambda settings: producer).write(("orders", 0), frame, 100)

    assert producer.values == values
