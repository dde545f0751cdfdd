/** What the API takes as the name of a domain. */
export const isDomainName = (name: string): boolean => /^[a-z0-9][a-z0-9_-]{0,54}$/.test(name)
