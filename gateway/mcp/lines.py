"""Lines, out of the pieces in which a pipe gives them."""


class Lines:
    """What has come of one stream and is no line yet. Takes as long as its bytes are many, however they are cut."""

    def __init__(self) -> None:
        self._rest = bytearray()

    @property
    def waiting(self) -> int:
        """Bytes of the line that has no end yet."""
        return len(self._rest)

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that end in this piece, without their ends."""
        *whole, rest = piece.split(b"\n")
        if whole:
            self._rest += whole[0]
            whole[0] = bytes(self._rest)
            self._rest = bytearray()
        self._rest += rest
        return whole
