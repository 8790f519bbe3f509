// Curves and figures of scored pairs. `rows` are the positions of the pairs that count.

// One entry for each distinct score, the highest first: pairs that score at least so much.
function cumulated(pairs, rows) {
  const order = Uint32Array.from(rows).sort((a, b) => pairs.scores[b] - pairs.scores[a]);
  const steps = [];
  let positives = 0;
  let negatives = 0;
  for (let at = 0; at < order.length; at++) {
    if (pairs.labels[order[at]]) positives++;
    else negatives++;
    const score = pairs.scores[order[at]];
    if (at + 1 === order.length || pairs.scores[order[at + 1]] !== score) {
      steps.push({ score, positives, negatives });
    }
  }
  return { steps, positives, negatives };
}

function rocCurve(pairs, rows) {
  const { steps, positives, negatives } = cumulated(pairs, rows);
  const x = [0];
  const y = [0];
  const thresholds = [null];
  let auc = 0;
  for (const step of steps) {
    const [fpr, tpr] = [step.negatives / negatives, step.positives / positives];
    auc += ((fpr - x[x.length - 1]) * (tpr + y[y.length - 1])) / 2;
    x.push(fpr);
    y.push(tpr);
    thresholds.push(step.score);
  }
  return positives && negatives ? { x, y, thresholds, auc } : { x: [], y: [], thresholds: [], auc: NaN };
}

function precisionRecallCurve(pairs, rows) {
  const { steps, positives } = cumulated(pairs, rows);
  const recall = [];
  const precision = [];
  const thresholds = [];
  let average = 0;
  let before = 0;
  for (const step of steps) {
    recall.push(step.positives / positives);
    precision.push(step.positives / (step.positives + step.negatives));
    thresholds.push(step.score);
    average += (step.positives / positives - before) * precision[precision.length - 1];
    before = step.positives / positives;
  }
  return positives
    ? { recall, precision, thresholds, average, share: positives / rows.length }
    : { recall: [], precision: [], thresholds: [], average: NaN, share: NaN };
}

function reliability(pairs, rows, bins) {
  const made = Array.from({ length: bins }, () => ({ count: 0, said: 0, true: 0 }));
  for (const at of rows) {
    const bin = made[Math.min(bins - 1, Math.floor(pairs.scores[at] * bins))];
    bin.count++;
    bin.said += pairs.scores[at];
    bin.true += pairs.labels[at];
  }
  const gaps = made.reduce((sum, bin) => sum + Math.abs(bin.said - bin.true), 0);
  return { bins: made.filter((bin) => bin.count), ece: rows.length ? gaps / rows.length : NaN };
}

function confusionAt(pairs, rows, threshold) {
  const found = { tp: 0, fp: 0, tn: 0, fn: 0 };
  for (const at of rows) {
    if (pairs.scores[at] >= threshold) found[pairs.labels[at] ? "tp" : "fp"]++;
    else found[pairs.labels[at] ? "fn" : "tn"]++;
  }
  const { tp, fp, tn, fn } = found;
  return {
    ...found,
    precision: tp / (tp + fp),
    recall: tp / (tp + fn),
    f1: (2 * tp) / (2 * tp + fp + fn),
    accuracy: (tp + tn) / (tp + fp + tn + fn),
  };
}
