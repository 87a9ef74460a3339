"""What every other part builds on: interpreter, threads, forks, file descriptors."""
