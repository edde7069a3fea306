"""What the learners share that change kernels in place: which, tables of versions, the search."""
