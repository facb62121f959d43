package report

// style is the page's, on screen and on paper.
const style = `
:root { color-scheme: light; --ink: #1c1f23; --soft: #565d66; --rule: #c9ced4; --hair: #e6e9ec; --accent: #1f4e79; --warn: #8a4b00; --wash: #fff6e5; }
* { box-sizing: border-box; }
html { background: #fff; color: var(--ink); font: 17px/1.55 Charter, "Bitstream Charter", "Liberation Serif", Georgia, serif; }
body { margin: 0 auto; padding: 2.5rem 1.5rem 5rem; max-width: 62rem; }
h1, h2, h3, nav, table, dl, .fact, code { font-family: "Helvetica Neue", "Liberation Sans", Arial, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.3rem; margin: 3.2rem 0 .8rem; padding-top: .6rem; border-top: 2px solid var(--ink); }
h3 { font-size: 1.02rem; margin: 2rem 0 .5rem; }
p, ul, ol { max-width: 46rem; }
a { color: var(--accent); }
.lead { font-size: 1.1rem; color: var(--soft); margin-top: 0; }
.notice { border-left: 4px solid var(--warn); background: var(--wash); padding: .7rem 1rem; margin: 1.2rem 0; max-width: none; }
.notice p { margin: .2rem 0; }
nav ol { columns: 2; padding-left: 1.3rem; margin: 1.5rem 0 0; font-size: .88rem; max-width: 46rem; }
nav li { margin: .15rem 0; break-inside: avoid; }
dl.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(12.5rem, 1fr)); gap: 1.3rem 2rem; margin: 1.4rem 0; }
dl.facts div { border-top: 1px solid var(--rule); padding-top: .5rem; }
dl.facts dt { font-size: .8rem; color: var(--soft); }
dl.facts dd { margin: 0; }
dl.facts dd.n { font-size: 1.35rem; font-weight: 600; font-variant-numeric: tabular-nums; }
dl.facts dd.more { font-size: .82rem; line-height: 1.4; color: var(--soft); }
figure { margin: 1.5rem 0 2.8rem; }
figure img { display: block; width: 100%; height: auto; }
figcaption, caption { font-size: .88rem; line-height: 1.45; color: var(--soft); text-align: left; }
figcaption { margin-top: .8rem; }
figcaption, caption span { display: block; max-width: 46rem; }
figcaption b, caption b { color: var(--ink); }
caption { caption-side: top; padding: 0 0 .7rem; font-family: Charter, "Bitstream Charter", "Liberation Serif", Georgia, serif; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .8rem; line-height: 1.35; border-top: 2px solid var(--ink); border-bottom: 2px solid var(--ink); }
table { min-width: 26rem; }
.wide { width: 100%; }
th, td { padding: .28rem .9rem .28rem 0; text-align: left; vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
td.r, th.r { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
thead th { border-bottom: 1px solid var(--ink); vertical-align: bottom; font-weight: 600; }
thead tr.groups th { text-align: center; border-bottom: 0; padding-bottom: 0; }
thead tr.groups th span { display: block; border-bottom: 1px solid var(--rule); }
tbody th { font-weight: 400; }
tbody tr + tr > * { border-top: 1px solid var(--hair); }
tbody tr.apart > * { border-top: 1px solid var(--ink); }
td.strong { font-weight: 700; }
.note { font-size: .82rem; color: var(--soft); margin: .5rem 0; }
.id, .macro, code { font-family: "Liberation Mono", Menlo, Consolas, monospace; font-size: .92em; }
.id { overflow-wrap: anywhere; }
.macro { white-space: nowrap; }
pre { background: #f5f6f7; padding: .7rem 1rem; overflow-x: auto; font-size: .85rem; line-height: 1.5; max-width: 46rem; }
@media print {
  @page { margin: 18mm 16mm; }
  html { font-size: 10.5pt; }
  body { padding: 0; max-width: none; }
  nav { display: none; }
  h2 { break-after: avoid; margin-top: 1.8rem; }
  h3 { break-after: avoid; }
  figure, .notice, tr { break-inside: avoid; }
  figure img { max-height: 200mm; width: auto; max-width: 100%; }
  thead { display: table-header-group; }
  .scroll { overflow: visible; }
  table { font-size: 8pt; }
  th, td { padding-right: .6rem; }
  a { color: inherit; text-decoration: none; }
}
`

// source is the page. Headings are numbered by hand, so that they read the same
// everywhere.
const source = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Analysis report{{if .Synthetic}} (synthetic example){{end}}</title>
<style>{{.Style}}</style>
</head>
<body>
<header>
<h1>Analysis report</h1>
<p class="lead">{{count .Total "configuration" "configurations"}} of preprocessing, features and classifier{{with .Subjects.Test}}, evaluated on {{count . "test subject" "test subjects"}}{{with $.Subjects.TestEvents}}, {{thousands .}} of them with glaucoma{{end}}{{end}}.</p>
{{if .Synthetic}}<div class="notice" role="note"><p><b>Synthetic example data.</b> The subjects are invented: no number here says anything about people.</p></div>
{{end}}{{if .Checks.Disagree}}<div class="notice" role="note"><p><b>{{count (len .Checks.Disagree) "check disagrees" "checks disagree"}}.</b> A number that a run's pickle holds is not the one computed from its predictions: mistrust these runs. <a href="#checks">Which</a></p></div>
{{end}}{{if .Validation}}<div class="notice" role="note"><p><b>Validation noticed:</b></p><ul>{{range .Validation}}<li>{{.}}</li>{{end}}</ul></div>
{{end}}<nav aria-label="Contents"><ol>
<li><a href="#glance">At a glance</a></li>
<li><a href="#results">Main results</a></li>
<li><a href="#figures">Figures</a></li>
<li><a href="#runs">What became of each run</a></li>
<li><a href="#checks">Checks</a></li>
<li><a href="#leftout">What figures and tables leave out</a></li>
<li><a href="#verify">How to verify and rebuild</a></li>
<li><a href="#supplement">Supplementary tables</a></li>
<li><a href="#numbers">Numbers for the text</a></li>
<li><a href="#used">The runs that are used</a></li>
</ol></nav>
</header>
<main>

<section aria-labelledby="glance">
<h2 id="glance">1 At a glance</h2>
<dl class="facts">
{{with .Number "bestAUROC"}}<div><dt>AUROC of the best configuration</dt><dd class="n">{{number .}}</dd><dd class="more">{{with remark .}}{{.}}; {{end}}{{with $.Number "bestName"}}{{number .}}, the {{.Meaning}}{{end}}{{with $.Number "bestAUROCCorrected"}}; {{number .}} in subjects that did not select it{{end}}</dd></div>
{{end}}<div><dt>Configurations</dt><dd class="n">{{thousands .Total}}</dd><dd class="more">{{range $i, $g := .Configurations}}{{if $i}}; {{end}}{{thousands .N}} {{.Classifier}} on {{.Featurization}}{{end}}</dd></div>
<div><dt>Runs used</dt><dd class="n">{{range .Found}}{{if eq .Verdict "used"}}{{thousands .N}}{{end}}{{end}} of {{thousands .Runs.Total}}</dd><dd class="more">{{with .Unused}}<a href="#runs">why {{len .}} {{if eq 1 (len .)}}is{{else}}are{{end}} not</a>{{else}}all runs of the experiment{{end}}</dd></div>
<div><dt>Subjects</dt><dd class="n">{{thousands .Subjects.Coded}}</dd><dd class="more">{{thousands .Subjects.Controls}} controls, {{thousands .Subjects.Events}} with glaucoma, training and test{{if .Subjects.Unlabelled}}; {{count .Subjects.Unlabelled "subject" "subjects"}} of the source without a label and so not used{{end}}</dd></div>
{{with .Subjects.Test}}<div><dt>Test subjects</dt><dd class="n">{{thousands .}}</dd><dd class="more">{{with $.Subjects.TestEvents}}{{thousands .}} with glaucoma{{end}}{{with $.Number "testPrevalencePct"}}; prevalence {{number .}}%, the study’s and not the clinic’s{{end}}</dd></div>
{{end}}{{with .Refits}}<div><dt>Refits of each configuration</dt><dd class="n">{{thousands .}}</dd><dd class="more">on half-size resamples of the training set</dd></div>
{{end}}<div><dt>Checks that agree</dt><dd class="n">{{thousands .Agreeing}}</dd><dd class="more">{{with .Checks.Disagree}}<a href="#checks">{{len .}} {{if eq 1 (len .)}}does{{else}}do{{end}} not</a>{{else}}all of them{{end}}</dd></div>
</dl>
</section>

<section aria-labelledby="results">
<h2 id="results">2 Main results</h2>
<p>{{.NumbersCaption}}</p>
<h3>How to read the numbers</h3>
<ul>
<li>{{with .Refits}}Each configuration stands on {{count . "refit" "refits"}} on half-size resamples{{else}}Configurations were fitted repeatedly, on half-size resamples{{end}} of the training subjects. Such models have seen fewer subjects than a model fitted on all of them, so they show the performance of smaller models, with a spread that is too wide for the full one. A range over refits is therefore nowhere called a confidence interval.</li>
<li>{{if eq .Estimand "mean_risk"}}Measures are those of the mean risk over refits (estimand <code>mean_risk</code>), which is the risk of a bagged model.{{else}}Measures are averaged over the refitted models (estimand <code>over_models</code>); calibration slope, intercept and O:E are medians. Curves are of the mean risk over refits, which is the risk of a bagged model, and say so.{{end}}</li>
<li>Intervals are over test subjects. The method stands with each: in the captions, and for every number in the <a href="#numbers">list of numbers</a>.</li>
<li>Configurations share their test subjects, except where a caption says otherwise: they are no replicates of each other. What is best is selected on the test set and not corrected for that.</li>
<li>There is no external validation.</li>
</ul>
{{range .Of "table" "main"}}{{template "table" .}}{{end}}
</section>

<section aria-labelledby="figures">
<h2 id="figures">3 Figures</h2>
{{range .Figures}}<figure id="{{.ID}}">
<img {{.Picture}} alt="{{.Alt}}" width="{{.Width}}" height="{{.Height}}">
<figcaption><b>{{.Title}}.</b> {{.Caption}} <span class="note">Numbers: <code>{{.Sidecar}}</code></span></figcaption>
</figure>
{{end}}</section>

<section aria-labelledby="runs">
<h2 id="runs">4 What became of each run</h2>
<div class="scroll"><table>
<caption><span><b>Runs by verdict.</b> {{count .Runs.Total "run directory" "run directories"}} of the experiment. Nothing is left out silently: each has a verdict.</span></caption>
<thead><tr><th scope="col">Verdict</th><th scope="col" class="r">Runs</th><th scope="col">Meaning</th></tr></thead>
<tbody>
{{range .Found}}<tr><th scope="row">{{words .Verdict}}</th><td class="r">{{thousands .N}}</td><td>{{meaning .Verdict}}</td></tr>
{{end}}</tbody></table></div>
{{with .Unused}}<div class="scroll"><table class="wide">
<caption><span><b>Runs that are not used.</b> What is written about a run in the store is not repeated here: reasons come from a fixed list.</span></caption>
<thead><tr><th scope="col">Run</th><th scope="col">Verdict</th><th scope="col">Reason</th></tr></thead>
<tbody>
{{range .}}<tr><th scope="row" class="id">{{.Run}}</th><td>{{words .Verdict}}</td><td>{{with .Reason}}{{.}}{{else}}{{meaning .Verdict}}{{end}}</td></tr>
{{end}}</tbody></table></div>
{{end}}{{with .Remarks}}<div class="scroll"><table class="wide">
<caption><span><b>Runs that are used with a remark.</b></span></caption>
<thead><tr><th scope="col">Run</th><th scope="col">Remark</th><th scope="col">Configuration</th></tr></thead>
<tbody>
{{range .}}<tr><th scope="row" class="id">{{.Run}}</th><td>{{.Reason}}</td><td>{{.Label}}</td></tr>
{{end}}</tbody></table></div>
{{end}}<p>The runs that are used, with their configurations, stand <a href="#used">at the end</a>.</p>
</section>

<section aria-labelledby="checks">
<h2 id="checks">5 Checks</h2>
<p>Pickles hold summaries that their makers computed. Each is computed again from the predictions and compared.</p>
{{with .Checks.Disagree}}<div class="scroll"><table class="wide">
<caption><span><b>Checks that disagree.</b> Mistrust these runs.</span></caption>
<thead><tr><th scope="col">Check</th><th scope="col">Configuration</th><th scope="col" class="r">In the pickle</th><th scope="col" class="r">Computed</th><th scope="col" class="r">Tolerance</th></tr></thead>
<tbody>
{{range .}}<tr><th scope="row">{{words .Check}}</th><td>{{.Label}}</td><td class="r">{{exact .Expected}}</td><td class="r">{{exact .Found}}</td><td class="r">{{.Tolerance}}</td></tr>
{{end}}</tbody></table></div>
{{else}}<p>No check disagrees.</p>
{{end}}{{with .Checks.Counts}}<div class="scroll"><table>
<caption><span><b>Checks by kind.</b></span></caption>
<thead><tr><th scope="col">Check</th><th scope="col" class="r">Agree</th><th scope="col" class="r">Disagree</th></tr></thead>
<tbody>
{{range .}}<tr><th scope="row">{{words .Check}}</th><td class="r">{{thousands .Agree}}</td><td class="r">{{thousands .Disagree}}</td></tr>
{{end}}</tbody></table></div>
{{end}}<p>Validation of the database (schema, ranges, counts, references, no original code of a subject) found {{if .Validation}}no error, and noticed:{{else}}nothing to remark.{{end}}</p>
{{with .Validation}}<ul>{{range .}}<li>{{.}}</li>{{end}}</ul>
{{end}}{{with .Settings}}<div class="scroll"><table>
<caption><span><b>Settings of the database.</b> What it was made with.</span></caption>
<thead><tr><th scope="col">Setting</th><th scope="col">Value</th></tr></thead>
<tbody>
{{range .}}<tr><th scope="row">{{words .Name}}</th><td>{{.Value}}</td></tr>
{{end}}</tbody></table></div>
{{end}}</section>

<section aria-labelledby="leftout">
<h2 id="leftout">6 What figures and tables leave out</h2>
{{with .LeftOut}}<div class="scroll"><table class="wide">
<caption><span><b>Configurations left out, with the reason.</b> They stay in the database.</span></caption>
<thead><tr><th scope="col">Figures and tables</th><th scope="col">Shows</th><th scope="col">Leaves out</th></tr></thead>
<tbody>
{{range .}}<tr><th scope="row">{{range .Titles}}<div>{{.}}</div>{{end}}</th><td>{{with .Filter}}{{.}}{{else}}all{{end}}</td><td>{{range .Excluded}}<div>{{thousands .N}}, {{.Reason}}</div>{{end}}{{range .Warnings}}<div>{{.}}</div>{{end}}</td></tr>
{{end}}</tbody></table></div>
{{else}}<p>Nothing is left out.</p>
{{end}}</section>

<section aria-labelledby="verify">
<h2 id="verify">7 How to verify and rebuild</h2>
<p>In a checkout of the pipeline, with these results in place:</p>
<pre><code>go tool mage verify                    # are they those of pipeline.lock?
go tool mage verify -rebuild           # does each step give the same again?
go tool mage reproduceFromCheckpoint   # figures, tables and report, from the database
go tool mage explain NAME              # where a figure, table or number comes from</code></pre>
<p><code>pipeline.lock</code> holds the BLAKE3 digest of every result, of this report, too, and that of the contents of the database, because the bytes of a DuckDB file are not a function of them. Figures and tables of this report are:</p>
<div class="scroll"><table class="wide">
<caption><span><b>Files and their BLAKE3 digests.</b></span></caption>
<thead><tr><th scope="col">File</th><th scope="col">Digest</th></tr></thead>
<tbody>
{{range .Parts}}<tr><th scope="row" class="id">{{.File}}</th><td class="id">{{.Digest}}</td></tr>
{{end}}</tbody></table></div>
</section>

<section aria-labelledby="supplement">
<h2 id="supplement">8 Supplementary tables</h2>
{{range .Supplement}}{{template "table" .}}{{else}}<p>There are none.</p>
{{end}}</section>

<section aria-labelledby="numbers">
<h2 id="numbers">9 Numbers for the text</h2>
<div class="scroll"><table class="wide">
<caption><span><b>The macros of numbers.tex.</b> {{.NumbersCaption}}</span></caption>
<thead><tr><th scope="col">Macro</th><th scope="col" class="r">Value</th><th scope="col">What it is</th></tr></thead>
<tbody>
{{range .Numbers}}<tr><th scope="row" class="macro">PLR{{.Name}}</th><td{{if not .Text}} class="r"{{end}}>{{number .}}</td><td>{{.Meaning}}{{with remark .}} ({{.}}){{end}}</td></tr>
{{end}}</tbody></table></div>
</section>

<section aria-labelledby="used">
<h2 id="used">10 The runs that are used</h2>
<div class="scroll"><table class="wide">
<caption><span><b>Configurations and their runs.</b> Outlier detection + imputation + classifier + features.</span></caption>
<thead><tr><th scope="col">Configuration</th><th scope="col">Run</th></tr></thead>
<tbody>
{{range .Used}}<tr><th scope="row">{{.Label}}</th><td class="id">{{.Run}}</td></tr>
{{end}}</tbody></table></div>
</section>
</main>
</body>
</html>
{{define "table"}}{{$columns := .Table.Columns}}<div class="scroll" id="{{.ID}}"><table class="wide">
<caption><span><b>{{.Title}}.</b> {{.Caption}}</span></caption>
<thead>
{{with groups .Table}}<tr class="groups">{{range .}}{{if .Text}}<th scope="colgroup" colspan="{{.Span}}"><span>{{.Text}}</span></th>{{else}}<td colspan="{{.Span}}"></td>{{end}}{{end}}</tr>
{{end}}<tr>{{range .Table.Columns}}<th scope="col"{{if eq .Align "r"}} class="r"{{end}}>{{.Heading}}</th>{{end}}</tr>
</thead>
<tbody>
{{range .Table.Rows}}<tr{{if .SpaceBefore}} class="apart"{{end}}>{{range $j, $c := .Cells}}{{$column := index $columns $j}}<td class="{{if eq $column.Align "r"}}r{{end}}{{if .Strong}} strong{{end}}">{{cell $c $column}}</td>{{end}}</tr>
{{end}}</tbody></table></div>
{{range absences .Table}}<p class="note">{{.}}</p>
{{end}}{{end}}`
