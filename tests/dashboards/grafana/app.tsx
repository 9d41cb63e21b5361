// A dashboard's JSON as a scene of Grafana's own library, over a real Prometheus.
//
// Grafana's are: the scene, its grid, variables, queries, transformations, annotations, field overrides, value mappings, units,
// panel frames, the graph, the table and the big number. Ours are, because npm has none: the data source, the wiring of the
// panels, and the state timeline, which is drawn here from the fields that Grafana prepared.
import React, { useRef } from 'react';
import { createRoot } from 'react-dom/client';
import { MemoryRouter } from 'react-router-dom';
import {
  createTheme, dateTime, EventBusSrv, identityOverrideProcessor, FieldType, getFieldDisplayName, PanelPlugin, renderLegendFormat, standardEditorsRegistry,
  standardTransformers, standardTransformersRegistry,
  standardFieldConfigEditorRegistry, ThemeContext, type DataFrame, type PanelProps,
} from '@grafana/data';
import { config, setAppEvents, setPluginImportUtils, setRunRequest } from '@grafana/runtime';
import { BigValue, BigValueColorMode, BigValueGraphMode, BigValueTextMode, GlobalStyles, Table, TimeSeries } from '@grafana/ui';
import {
  dataLayers, EmbeddedScene, QueryVariable, CustomVariable, RuntimeDataSource, SceneDataLayerSet, SceneDataTransformer, SceneGridItem,
  SceneGridLayout, sceneGraph, SceneQueryRunner, SceneTimeRange, sceneUtils, SceneVariableSet, VariableValueSelectors, VizPanel, SceneTimePicker,
} from '@grafana/scenes';
import { initPluginTranslations } from '@grafana/i18n';

const asked = new URLSearchParams(location.search);
const prometheus = asked.get('prometheus')!;
const SCRAPE = Number(asked.get('scrape') ?? 15);
(window as any).pending = 0;
(window as any).failed = [];

async function api(path: string, parameters: Record<string, string>) {
  (window as any).pending += 1;
  try {
    const answer = await (await fetch(`${prometheus}/api/v1/${path}?${new URLSearchParams(parameters)}`)).json();
    if (answer.status !== 'success') {
      (window as any).failed.push(answer.error);
      throw new Error(answer.error);
    }
    return answer.data;
  } finally {
    (window as any).pending -= 1;
  }
}

const seconds = (text: string) => Number(text.replace('ms', '')) / (text.endsWith('ms') ? 1000 : 1);

class Source extends RuntimeDataSource<any> {
  annotations = {
    prepareAnnotation: (json: any) => ({ ...json, target: { refId: 'Anno', expr: json.expr, interval: json.step } }),
    processEvents: (annotation: any, frames: DataFrame[]) => {
      const { of } = RX;
      const events = frames.flatMap((frame) => {
        const labels = frame.fields[1]?.labels ?? {};
        const values = frame.fields[1]?.values ?? [];
        const times = annotation.useValueForTime ? [...new Set(values)] : frame.fields[0]?.values.slice(0, 1) ?? [];
        const timeEnd = annotation.useValueForTime ? undefined : frame.fields[0]?.values.at(-1);
        const fill = (format: string) => renderLegendFormat(format, labels);
        return times.map((time: number) => ({
          time: Math.floor(time), timeEnd, isRegion: timeEnd !== undefined, title: fill(annotation.titleFormat), text: fill(annotation.textFormat),
          color: annotation.iconColor, source: annotation, type: annotation.name, tags: [],
        }));
      });
      return of(events);
    },
  } as any;

  async query(request: any) {
    const { from, to } = request.range;
    const step = Math.max(1, Math.ceil(seconds(`${request.intervalMs}ms`)));
    const frames: DataFrame[] = [];
    for (const target of request.targets) {
      const width = Math.max(step + SCRAPE, 4 * SCRAPE);
      const owner = request.scopedVars?.__sceneObject?.value?.valueOf() ?? (window as any).scene;
      const expr = sceneGraph.interpolate(owner, target.expr.replaceAll('$__rate_interval', `${width}s`)
        .replaceAll('$__range', `${Math.round((to.valueOf() - from.valueOf()) / 1000)}s`), request.scopedVars, (value: any) => [value].flat().join('|'));
      const data = target.instant
        ? await api('query', { query: expr, time: String(to.valueOf() / 1000) })
        : await api('query_range', { query: expr, start: String(from.valueOf() / 1000), end: String(to.valueOf() / 1000), step: String(step) });
      frames.push(...(target.format === 'table' ? [table(data.result, target.refId)] : data.result.map((series: any) => graph(series, target))));
    }
    return { data: frames, state: 'Done' as any };
  }

  async metricFindQuery(query: any) {
    const [, matched, label] = /label_values\((.*), (\w+)\)/.exec(typeof query === 'string' ? query : query.query)!;
    const match = sceneGraph.interpolate((window as any).scene, matched, undefined, (value: any) => [value].flat().join('|'));
    const values = await api(`label/${label}/values`, { 'match[]': match });
    return values.map((text: string) => ({ text }));
  }

  async testDatasource() {
    return {} as any;
  }
}

function graph(series: any, target: any): DataFrame {
  const pairs = series.values ?? [series.value];
  const labels = { ...series.metric };
  const name = target.legendFormat ? renderLegendFormat(target.legendFormat, labels) : undefined;
  return {
    refId: target.refId, length: pairs.length, name,
    fields: [
      { name: 'Time', type: FieldType.time, config: {}, values: pairs.map((pair: any) => pair[0] * 1000) },
      { name: 'Value', type: FieldType.number, config: name ? { displayNameFromDS: name } : {}, labels, values: pairs.map((pair: any) => Number(pair[1])) },
    ],
  };
}

function table(result: any[], refId: string): DataFrame {
  const names = [...new Set(result.flatMap((series) => Object.keys(series.metric)))].sort();
  return {
    refId, length: result.length,
    fields: [
      { name: 'Time', type: FieldType.time, config: {}, values: result.map((series) => series.value[0] * 1000) },
      ...names.map((name) => ({ name, type: FieldType.string, config: {}, values: result.map((series) => series.metric[name] ?? '') })),
      { name: 'Value', type: FieldType.number, config: {}, values: result.map((series) => Number(series.value[1])) },
    ],
  };
}

// Panels

const numbers = (frames: DataFrame[]) => frames.flatMap((frame) => frame.fields.filter((field) => field.type === FieldType.number).map((field) => ({ frame, field })));
const Empty = () => <div style={{ opacity: 0.6, textAlign: 'center', paddingTop: 40 }}>No data</div>;

const annotated = (data: PanelProps['data']) => (data.annotations ?? []).flatMap((frame) =>
  Array.from({ length: frame.length }, (_, row) => Object.fromEntries(frame.fields.map((field) => [field.name, field.values[row]]))));

function Graph({ data, width, height, timeRange, timeZone, options }: PanelProps<any>) {
  const latest = useRef(data);
  latest.current = data;
  if (!numbers(data.series).length) return <Empty />;
  const draw = (plot: any) => {
    const { ctx, bbox } = plot;
    ctx.save();
    for (const mark of annotated(latest.current)) {
      const [begin, end] = [mark.time, mark.timeEnd ?? mark.time].map((time: number) => Math.min(Math.max(plot.valToPos(time, 'x', true), bbox.left), bbox.left + bbox.width));
      ctx.strokeStyle = ctx.fillStyle = theme.visualization.getColorByName(mark.color);
      ctx.globalAlpha = mark.isRegion ? 0.15 : 0.8;
      if (mark.isRegion) {
        ctx.fillRect(begin, bbox.top, Math.max(2, end - begin), bbox.height);
      } else {
        ctx.setLineDash([4, 3]);
        ctx.beginPath(); ctx.moveTo(begin, bbox.top); ctx.lineTo(begin, bbox.top + bbox.height); ctx.stroke();
      }
    }
    ctx.restore();
  };
  return (
    <TimeSeries key={annotated(data).length} frames={data.series} width={width} height={height} timeRange={timeRange} timeZone={timeZone} legend={options.legend} options={options}>
      {(builder: any) => { if (!builder.marked) { builder.marked = true; builder.addHook('draw', draw); } return null; }}
    </TimeSeries>
  );
}

function Marks({ marks, range, left, width, height }: any) {
  const [from, to] = [range.from.valueOf(), range.to.valueOf()];
  const x = (time: number) => left + (Math.min(Math.max(time, from), to) - from) / (to - from) * width;
  return (
    <svg style={{ position: 'absolute', left: 0, top: 0, pointerEvents: 'none' }} width={left + width} height={height}>
      {marks.map((mark: any, index: number) => mark.isRegion
        ? <rect key={index} x={x(mark.time)} width={Math.max(2, x(mark.timeEnd) - x(mark.time))} y={0} height={height} fill={mark.color} opacity={0.12} />
        : <line key={index} x1={x(mark.time)} x2={x(mark.time)} y1={0} y2={height} stroke={mark.color} strokeDasharray="4 3" opacity={0.8} />)}
    </svg>
  );
}

function Stat({ data, width, height }: PanelProps<any>) {
  const found = numbers(data.series)[0]?.field;
  if (!found) return <Empty />;
  const value = found.display!(found.values.at(-1));
  return <BigValue value={value} width={width} height={height} theme={theme} colorMode={BigValueColorMode.Value} graphMode={BigValueGraphMode.None} textMode={BigValueTextMode.Value} />;
}

function Rows({ data, width, height }: PanelProps<any>) {
  const frame = data.series[0];
  return frame?.length ? <Table data={frame} width={width} height={height} /> : <Empty />;
}

function Timeline({ data, width, height, timeRange }: PanelProps<any>) {
  const rows = numbers(data.series);
  if (!rows.length) return <Empty />;
  const [from, to] = [timeRange.from.valueOf(), timeRange.to.valueOf()];
  const left = Math.min(260, 16 + 7 * Math.max(...rows.map(({ frame, field }) => getFieldDisplayName(field, frame, data.series).length))), room = height - 18, tall = Math.min(70, room / rows.length);
  const x = (time: number) => left + (time - from) / (to - from) * (width - left - 8);
  const marks = annotated(data);
  const parts = width > 600 ? 6 : 2;
  const ticks = Array.from({ length: parts + 1 }, (_, index) => from + (to - from) * index / parts);
  return (
    <div style={{ position: 'relative' }}>
      <svg width={width} height={height} style={{ fontSize: 12, fill: 'currentColor' }}>
        {rows.map(({ frame, field }, row) => {
          const times = frame.fields[0].values, step = times.length > 1 ? times[1] - times[0] : 0;
          const pieces: Array<{ begin: number; end: number; value: number }> = [];
          field.values.forEach((value: number, index: number) => {
            const last = pieces.at(-1), end = Math.min(times[index] + step, to);
            if (last && last.value === value && times[index] - last.end <= step) last.end = end; else pieces.push({ begin: times[index], end, value });
          });
          return (
            <g key={row}>
              <text x={4} y={row * tall + tall / 2 + 4}>{getFieldDisplayName(field, frame, data.series)}</text>
              {pieces.map((piece, index) => {
                const shown = field.display!(piece.value), wide = x(piece.end) - x(piece.begin);
                return (
                  <g key={index}>
                    <rect x={x(piece.begin)} y={row * tall + 3} width={Math.max(1, wide)} height={tall - 6} fill={shown.color} opacity={0.8} />
                    {wide > 46 && <text x={x(piece.begin) + 5} y={row * tall + tall / 2 + 4}>{shown.text}</text>}
                  </g>
                );
              })}
            </g>
          );
        })}
        {ticks.map((tick) => <text key={tick} x={x(tick)} y={height - 4} textAnchor={tick === to ? 'end' : 'middle'} opacity={0.7}>{dateTime(tick).format('HH:mm:ss')}</text>)}
      </svg>
      <Marks marks={marks} range={timeRange} left={left} width={width - left - 8} height={rows.length * tall} />
    </div>
  );
}

const editor = (path: string) => ({
  id: path, path, name: path, description: '', editor: () => null, override: () => null, process: identityOverrideProcessor, shouldApply: () => true,
});

function plugin(component: any, custom: string[]) {
  return new PanelPlugin(component).useFieldConfig({
    useCustomConfig: (builder: any) => custom.forEach((path) => builder.addCustomEditor(editor(path))),
  });
}

// A dashboard as a scene

function build(file: any, from: number, to: number) {
  const variables = file.templating.list.filter((each: any) => each.type === 'query').map((each: any) => new QueryVariable({
    name: each.name, label: each.label, datasource: { uid: 'prom' }, query: each.query, isMulti: each.multi, includeAll: each.includeAll, allValue: each.allValue,
    value: ['$__all'], text: ['All'], sort: each.sort, refresh: each.refresh,
  }));
  variables.unshift(new CustomVariable({ name: 'datasource', label: 'Data source', query: 'prom', value: 'prom', text: 'Prometheus' }) as any);
  const queries = (panel: any) => new SceneQueryRunner({
    datasource: { uid: 'prom' }, queries: panel.targets.map((target: any) => ({ ...target, datasource: { uid: 'prom' } })), minInterval: panel.interval, maxDataPoints: 300,
  });
  const children = file.panels.map((panel: any) => new SceneGridItem({
    x: panel.gridPos.x, y: panel.gridPos.y, width: panel.gridPos.w, height: panel.gridPos.h,
    body: new VizPanel({
      pluginId: panel.type, title: panel.title, description: panel.description, options: panel.options, fieldConfig: panel.fieldConfig,
      $data: new SceneDataTransformer({ $data: queries(panel), transformations: panel.transformations ?? [] }),
    }),
  }));
  const layers = file.annotations.list.map((each: any) => new dataLayers.AnnotationsDataLayer({
    name: each.name, isEnabled: true, query: { ...each, datasource: { uid: 'prom' } },
  }));
  return new EmbeddedScene({
    $variables: new SceneVariableSet({ variables }),
    $timeRange: new SceneTimeRange({ from: new Date(from).toISOString(), to: new Date(to).toISOString(), timeZone: 'utc' }),
    $data: new SceneDataLayerSet({ layers }),
    controls: [new VariableValueSelectors({}), new SceneTimePicker({})],
    body: new SceneGridLayout({ isDraggable: false, isResizable: false, isLazy: false, children }),
  });
}

const theme = createTheme({ colors: { mode: 'dark' } });
let RX: any;

async function main() {
  RX = await import('rxjs');
  await initPluginTranslations('grafana').catch(() => undefined);
  (config as any).theme2 = theme;
  (config as any).bootData = { user: { timezone: 'utc', locale: 'en' }, settings: {} };
  setAppEvents(new EventBusSrv());
  setPluginImportUtils({ importPanelPlugin: async () => undefined as any, getPanelPluginFromCache: () => undefined });
  standardEditorsRegistry.setInit(() => []);
  const { organizeFieldsTransformer: organize } = standardTransformers;
  standardTransformersRegistry.setInit(() => [{ id: organize.id, name: organize.name, transformation: async () => organize, editor: () => null } as any]);
  const standard = ['displayName', 'unit', 'min', 'max', 'decimals', 'color', 'noValue', 'mappings', 'thresholds'];
  standardFieldConfigEditorRegistry.setInit(() => standard.map(editor) as any);
  const { Observable } = RX;
  setRunRequest((source: any, request: any) => new Observable((observer: any) => {
    Promise.resolve(source.query(request)).then(
      (answer: any) => { observer.next({ ...answer, series: answer.data, state: 'Done', timeRange: request.range, request }); observer.complete(); },
      (error: any) => { observer.next({ series: [], state: 'Error', timeRange: request.range, error: { message: String(error) } }); observer.complete(); },
    );
  }) as any);
  const source = new Source('prometheus', 'prom');
  sceneUtils.registerRuntimeDataSource({ dataSource: source });
  const drawn = ['drawStyle', 'lineWidth', 'fillOpacity', 'showPoints', 'spanNulls', 'lineInterpolation', 'stacking', 'pointSize', 'axisPlacement'];
  sceneUtils.registerRuntimePanelPlugin({ pluginId: 'timeseries', plugin: plugin(Graph, drawn) });
  sceneUtils.registerRuntimePanelPlugin({ pluginId: 'state-timeline', plugin: plugin(Timeline, ['fillOpacity', 'lineWidth']) });
  sceneUtils.registerRuntimePanelPlugin({ pluginId: 'stat', plugin: plugin(Stat, []) });
  sceneUtils.registerRuntimePanelPlugin({ pluginId: 'table', plugin: plugin(Rows, ['align', 'inspect', 'cellOptions', 'width']) });
  const file = await (await fetch(asked.get('dashboard')!)).json();
  const scene = build(file, Number(asked.get('from')) * 1000, Number(asked.get('to')) * 1000);
  (window as any).scene = scene;
  document.body.style.background = theme.colors.background.canvas;
  document.body.style.color = theme.colors.text.primary;
  createRoot(document.getElementById('root')!).render(
    <ThemeContext.Provider value={theme}>
      <MemoryRouter>
        <GlobalStyles isExtensionSidebarOpen={false} />
        <div style={{ padding: 12 }}>
          <h3 style={{ fontFamily: theme.typography.fontFamily, margin: '4px 8px' }}>{file.title}</h3>
          <scene.Component model={scene} />
        </div>
      </MemoryRouter>
    </ThemeContext.Provider>,
  );
}

// Once more, now that the annotations are there: panels that were ready before them do not show them.
setTimeout(() => sceneGraph.getTimeRange((window as any).scene).onRefresh(), 3000);
main().catch((error) => { (window as any).failed.push(String(error?.stack ?? error)); });
