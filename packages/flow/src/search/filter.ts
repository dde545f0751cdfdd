export function checkFilter(_filter: unknown): void {}
