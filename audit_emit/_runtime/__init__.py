"""What every other part leans on: interpreter, threads, forks, descriptors."""
