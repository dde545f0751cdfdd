/** Documents that failed or files that could not be read: the command did its work, not all of it. */
export const EXIT_PROBLEMS = 2
