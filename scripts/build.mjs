// npm run build: installs when it is due, then compiles.
import { build, install } from './workspace.mjs'

install()
build()
