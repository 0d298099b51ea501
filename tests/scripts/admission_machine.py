"""What the transcripts of admission have in common."""


class Machine:
    """A clock that only `pass` moves; numbers as arguments."""

    def __init__(self):
        self.now_s = 0.0
        self.setup()

    def setup(self):
        """Make what the transcript talks to."""

    def __call__(self, directive):
        if directive.name == "pass":
            self.now_s += float(directive.words[0])
            return f"{self.now_s:g} s"
        return getattr(self, directive.name)(directive)
