"""A decoder driven one token at a time, as its teacher-forced pass has to reproduce it."""


def steps(decoder, encoded, inputs):
    """The outcome of each step."""
    memory, state = decoder.start(encoded)
    outcomes = []
    for token in inputs.unbind(1):
        outcomes.append(decoder.step(token, state, memory))
        state = outcomes[-1].state
    return outcomes
