export { MODELS_DIR, sharedFile } from '../../embed/test/models.js'
