"""From a call of ``emit`` to its stores: the emitter and what it is made of."""
