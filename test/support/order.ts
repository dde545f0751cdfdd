import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** From a minute down; a file that is not named takes less than any of them. */
const LONGEST = [
  'apps/web/test/page.test.ts',
  'apps/web/test/documents.test.ts',
  'test/crash.test.ts',
  'apps/cli/test/cli.test.ts',
  'test/main-job.test.ts',
  'packages/store/test/embedded-life.test.ts',
  'apps/cli/test/models.test.ts',
  'test/ways-in.test.ts',
  'packages/models/test/import.test.ts',
  'test/queries.test.ts',
  'test/cancel.test.ts',
  'test/sparse.test.ts',
]

/**
 * Long files first, so that none runs alone at the end. Vitest does so from the second run on; a clean clone knows
 * no durations, and the two longest files are among the shortest to read.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const placeOf = ({ moduleId }: TestSpecification) => {
      const place = LONGEST.findIndex((path) => moduleId.endsWith(`/${path}`))
      return place < 0 ? LONGEST.length : place
    }
    // Those of one project stay together: its processes are kept while its files follow each other.
    const projectOf = (file: TestSpecification) => (file.project.name === 'apart' ? 0 : 1)
    return (await super.sort(files)).sort((a, b) => projectOf(a) - projectOf(b) || placeOf(a) - placeOf(b))
  }
}
