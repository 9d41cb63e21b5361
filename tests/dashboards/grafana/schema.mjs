// Make JSON Schemas of the types of @grafana/schema that the dashboards use: one each, because Grafana's names are not unique.
import { writeFileSync, mkdirSync } from 'node:fs';
import { createGenerator } from 'ts-json-schema-generator';

const TYPES = 'node_modules/@grafana/schema/dist/types/raw';
const panel = (name) => `${TYPES}/composable/${name}/panelcfg/x/types.gen.d.ts`;
const WANTED = {
  dashboard: [`${TYPES}/dashboard/x/types.gen.d.ts`, 'Dashboard'],
  'timeseries.options': [panel('timeseries'), 'Options'],
  'timeseries.custom': [panel('timeseries'), 'FieldConfig'],
  'state-timeline.options': [panel('statetimeline'), 'Options'],
  'state-timeline.custom': [panel('statetimeline'), 'FieldConfig'],
  'stat.options': [panel('stat'), 'Options'],
  'table.options': [panel('table'), 'Options'],
  'table.custom': [panel('table'), 'FieldConfig'],
};
const schemas = {};
for (const [key, [path, type]] of Object.entries(WANTED)) {
  schemas[key] = createGenerator({ path, type, tsconfig: 'tsconfig.json', skipTypeCheck: true, additionalProperties: false }).createSchema(type);
}
const strip = (node) => {
  if (Array.isArray(node)) return node.map(strip);
  if (node && typeof node === 'object') {
    return Object.fromEntries(Object.entries(node).filter(([k, v]) => !(k === 'description' && typeof v === 'string')).map(([k, v]) => [k, strip(v)]));
  }
  return node;
};
writeFileSync(process.argv[2], JSON.stringify(strip(schemas), null, 1) + '\n');
