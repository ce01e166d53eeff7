"""Power losses, drawn from a seed: what a log signed and showed is there afterwards, and verifies."""

from random import Random

from storage.audit import merkle
from storage.audit.checkpoint import Checkpoint, read_checkpoint
from storage.audit.note import read_note
from storage.audit.trust import Trust
from storage.audit.verify import verify
from tests.fakes.disk import MemoryDisk
from tests.unit.storage.audit.house import entries, key, log_on, memory_archive, quiet


class PowerLost(Exception):
    """The machine went down in the middle of a call."""


class Machine:
    """A disk whose power fails at some call, and a writer that hands over what it must after each start."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.disk = MemoryDisk()
        self.signed: list[Checkpoint] = [Checkpoint(origin="", size=0, root=merkle.EMPTY_ROOT)]

    def live(self, calls: int) -> None:
        """Work until power fails at the given call, and start again from what is left."""
        left = iter(range(calls))

        def fault(call: str, path: str) -> OSError | None:
            if next(left, None) is None:
                raise PowerLost
            return None

        self.disk.fault = fault
        try:
            self._work()
        except PowerLost:
            self._see()
        self.disk = self.disk.after_power_loss(self.random)

    def check(self) -> None:
        """What was signed and seen is there, and the log verifies after healing."""
        log = log_on(self.disk)
        assert log.checkpoint.size >= self.signed[-1].size
        log.integrate(entries(log.size, log.size + self.random.randrange(3)), at=log.size)
        log.publish()
        report = verify(memory_archive(self.disk.files()), Trust.of_log(key().verifier), progress=quiet)
        assert report.flaws == ()
        for head in self.signed:
            proof = log.consistency(head.size, log.checkpoint.size)
            merkle.verify_consistency(head.size, log.checkpoint.size, head.root, log.checkpoint.root, proof)

    def _work(self) -> None:
        log = log_on(self.disk)
        while True:
            again = self.random.randrange(3)
            at = max(0, log.size - again)
            log.integrate(entries(at, log.size + self.random.choice([1, 7, 60, 300])), at=at)
            if self.random.random() < 0.6:
                self.signed.append(log.publish())

    def _see(self) -> None:
        """Whoever copied the checkpoint just before may hold it, if its folder was synced."""
        durable = self.disk.durable.get("checkpoint")
        if durable is not None and durable.durable:
            head = read_checkpoint(read_note(durable.durable).text)
            if head.size > self.signed[-1].size:
                self.signed.append(head)


def campaign(seed: int) -> None:
    """A machine that loses power several times, at moments drawn from `seed`."""
    machine = Machine(Random(seed))
    for _ in range(3):
        machine.live(machine.random.randrange(120))
        machine.check()
