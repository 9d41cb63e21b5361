(() => {
  const $ = id => document.getElementById(id), box = $('box'), picture = $('picture'), told = $('told');
  const open = () => {
    const target = location.hash && $(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === 'DETAILS') { target.open = true; target.scrollIntoView(); }
  };
  addEventListener('hashchange', open);
  const details = [...document.querySelectorAll('details')];
  addEventListener('beforeprint', () => { if (details.length <= 30) for (const one of details) one.open = true; });
  open();
  if (!picture) return;
  const begin = +picture.dataset.begin, length = +picture.dataset.length, ticks = $('ticks');
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5, 72e5, 216e5, 864e5];
  const height = +picture.getAttribute('height'), most = Math.max(1, Math.min(length / 100, 5e6 / box.clientWidth));
  let zoom = 1, waiting = false;
  const draw = () => {
    waiting = false;
    const wide = box.clientWidth * zoom, step = steps.find(one => one / length * wide >= 105) || 864e5;
    const from = begin + box.scrollLeft / wide * length, until = begin + (box.scrollLeft + box.clientWidth) / wide * length;
    const made = [];
    for (let time = Math.ceil(from / step) * step; time < until - 55 / wide * length && made.length < 200; time += step) {
      const at = (time - begin) / length * 100 + '%', text = document.createElementNS(picture.namespaceURI, 'text');
      const line = document.createElementNS(picture.namespaceURI, 'line');
      for (const [name, value] of [['x1', at], ['x2', at], ['y1', 0], ['y2', height - 20]]) line.setAttribute(name, value);
      text.setAttribute('x', at); text.setAttribute('y', height - 7);
      text.textContent = new Date(time).toISOString().slice(11, step < 1000 ? 23 : 19);
      made.push(line, text);
    }
    ticks.replaceChildren(...made);
  };
  const later = () => { if (!waiting) { waiting = true; requestAnimationFrame(draw); } };
  const show = (wanted, at, place) => {
    zoom = Math.max(1, Math.min(most, wanted));
    picture.style.width = zoom * 100 + '%';
    box.scrollLeft = at * box.clientWidth * zoom - place;
    later();
  };
  const by = (factor, place = box.clientWidth / 2) => show(zoom * factor, (box.scrollLeft + place) / (box.clientWidth * zoom), place);
  $('in').onclick = () => by(2); $('out').onclick = () => by(.5); $('all').onclick = () => show(1, 0, 0);
  $('controls').hidden = false;
  for (const button of document.querySelectorAll('button[data-at]')) {
    button.hidden = false;
    button.onclick = () => { show(length / 3e4, +button.dataset.at, box.clientWidth / 3); box.scrollIntoView({block: 'center'}); box.focus({preventScroll: true}); };
  }
  box.addEventListener('scroll', later);
  addEventListener('resize', later);
  box.addEventListener('wheel', event => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    by(event.deltaY < 0 ? 1.25 : .8, event.clientX - box.getBoundingClientRect().left);
  }, {passive: false});
  const lanes = [...picture.querySelectorAll('.lane')].map(lane => [...lane.querySelectorAll('.m')]).filter(lane => lane.length);
  for (const lane of lanes) lane.forEach((mark, place) => mark.setAttribute('tabindex', place ? -1 : 0));
  const tell = event => { const mark = event.target.closest && event.target.closest('.m'); if (mark) told.textContent = mark.querySelector('title').textContent; };
  picture.addEventListener('mouseover', tell);
  picture.addEventListener('focusin', event => {
    tell(event);
    const mark = event.target.closest('.m'), lane = mark && lanes.find(one => one.includes(mark));
    if (!lane) return;
    for (const other of lane) other.setAttribute('tabindex', other === mark ? 0 : -1);
    const at = mark.getBoundingClientRect(), seen = box.getBoundingClientRect();
    if (at.right < seen.left || at.left > seen.right) box.scrollLeft += at.left - seen.left - box.clientWidth / 2;
  });
  box.addEventListener('keydown', event => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === '+' || event.key === '=') by(2);
    else if (event.key === '-') by(.5);
    else if (event.key === '0') show(1, 0, 0);
    else {
      const mark = document.activeElement.closest('.m'), row = lanes.findIndex(lane => lane.includes(mark));
      if (row < 0) return;
      const column = lanes[row].indexOf(mark), next = {ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0]}[event.key];
      if (!next) return;
      const lane = lanes[row + next[0]], target = lane && (next[0] ? lane.find(one => one.getAttribute('tabindex') === '0') : lane[column + next[1]]);
      if (target) target.focus({preventScroll: true});
    }
    event.preventDefault();
  });
  later();
})();
