/** Documents that failed or files that could not be read: the command did its work, not all of it. */
export const EXIT_PROBLEMS = 2
/** A golden run is worse than the one it was compared with, by more than was allowed. */
export const EXIT_WORSE = 3
