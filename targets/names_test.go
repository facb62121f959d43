package targets

import "testing"

func TestUnnamedFiles(t *testing.T) {
	const run = "253031330985650090/03c472ca449548b4b8d889d2b47a5c1d"
	for text, want := range map[string]string{
		"forced": "forced",
		"tracking store: open /data/mlruns: permission denied":                     "",
		"tracking store /data/mlruns: list experiments: open 1: permission denied": "",
		"code changed": "code changed",
		"input store:" + run + "/meta.yaml changed":                                                     "",
		"input store:" + run + "/params/model_name added":                                               "",
		"input store:" + run + "/metrics/train/outlier_f1 removed":                                      "",
		"input store:" + run + "/tags/mlflow.runName changed":                                           "",
		"input store:253031330985650090/tags/plr.synthetic added":                                       "",
		"input store:253031330985650090/meta.yaml changed":                                              "",
		"input store:" + run + "/artifacts/metrics added":                                               "",
		"input store:" + run + "/artifacts changed: it is behind a link that leaves its root now":       "",
		"input names of store:[0-9]*/*/artifacts/metrics/* declared anew":                               "",
		"input names of store:[0-9]*/*/artifacts/metrics/* no longer declared":                          "",
		"input store:" + run + "/artifacts/metrics/metrics_Jane Doe added.pickle removed":               "input store:" + run + "/artifacts/metrics/[its name] removed",
		"input store:" + run + "/artifacts/metrics/a\nb: c/d.pickle added":                              "input store:" + run + "/artifacts/metrics/[its name] added",
		"input store:" + run + "/artifacts/metrics/x changed: it is neither a file nor a directory now": "input store:" + run + "/artifacts/metrics/[its name] changed: it is neither a file nor a directory now",
		"input artifacts:03c472ca449548b4b8d889d2b47a5c1d/artifacts/metrics/m.pickle added":             "input artifacts:03c472ca449548b4b8d889d2b47a5c1d/artifacts/metrics/[its name] added",
		"input artifacts-2:Jane Doe/artifacts/metrics/m.pickle added":                                   "input artifacts-2:[its name] added",
		"input store:253031330985650090/Jane Doe/meta.yaml removed":                                     "input store:253031330985650090/[its name] removed",
		"input store:253031330985650090/params/artifacts/metrics/Jane Doe added":                        "input store:253031330985650090/params/artifacts/metrics/[its name] added",
		"input store:1 Jane/meta.yaml added":                                                            "input store:[its name] added",
		"store:253031330985650090/Jane: Doe/meta.yaml: permission denied":                               "store:253031330985650090/[its name]: permission denied",
	} {
		if want == "" {
			want = text
		}
		if got := unnamedFiles(text); got != want {
			t.Errorf("%q\n got %q\nwant %q", text, got, want)
		}
	}
}
