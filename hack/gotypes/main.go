// Command gotypes writes, as JSON on stdout, what Go's JSON encoding does with every struct of the Kubernetes API: fields in
// wire order, what is written when a field is unset, and what is left out. The OpenAPI documents do not say this.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// field is one JSON field. Zero is what Go writes for an unset field, absent when the field is then left out. Inline names the
// embedded structs that the field comes from ("VolumeSource"), Go the types that errors name, from the field's own to that of
// its innermost elements, where they are not what the JSON type is called.
type field struct {
	Name     string           `json:"name"`
	Type     string           `json:"type"`
	Inline   string           `json:"inline,omitempty"`
	Go       []string         `json:"go,omitempty"`
	Zero     *json.RawMessage `json:"zero,omitempty"`
	DropZero bool             `json:"dropZero,omitempty"`
	Pointer  bool             `json:"pointer,omitempty"`
}

// Types whose JSON form is not what reflection shows.
var special = map[reflect.Type]string{
	reflect.TypeFor[resource.Quantity]():                          "quantity",
	reflect.TypeFor[meta.Time]():                                  "time",
	reflect.TypeFor[meta.MicroTime]():                             "micro-time",
	reflect.TypeFor[meta.Duration]():                              "string",
	reflect.TypeFor[meta.FieldsV1]():                              "any",
	reflect.TypeFor[intstr.IntOrString]():                         "int-or-string",
	reflect.TypeFor[runtime.RawExtension]():                       "any",
	reflect.TypeFor[apiextensions.JSON]():                         "any",
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrArray]():       "any",
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrBool]():        "any",
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrStringArray](): "any",
}

var marshaler = reflect.TypeFor[json.Marshaler]()

type walker struct{ structs map[string][]field }

func main() {
	sch := scheme.Scheme
	must(apiextensions.AddToScheme(sch))
	must(apiregistration.AddToScheme(sch))
	w := walker{structs: map[string][]field{}}
	for _, t := range sch.AllKnownTypes() {
		if strings.HasPrefix(t.PkgPath(), "k8s.io/") {
			w.typeOf(t)
		}
	}
	for _, t := range []reflect.Type{
		reflect.TypeFor[meta.Table](), reflect.TypeFor[meta.PartialObjectMetadataList](), reflect.TypeFor[meta.APIGroupList](),
		reflect.TypeFor[meta.APIResourceList](), reflect.TypeFor[meta.APIVersions](), reflect.TypeFor[meta.Status](),
	} {
		w.typeOf(t)
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	must(out.Encode(w.structs))
}

// typeOf names a type: a scalar, "[]T", "{}T", or "@definition" (which is then walked once).
func (w *walker) typeOf(t reflect.Type) string {
	if name, ok := special[t]; ok {
		return name
	}
	if t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface && (t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler)) {
		fail("%v has a JSON form of its own", t)
	}
	switch t.Kind() {
	case reflect.Pointer:
		return w.typeOf(t.Elem())
	case reflect.Interface:
		return "any"
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "integer"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		return "[]" + w.typeOf(t.Elem())
	case reflect.Map:
		return "{}" + w.typeOf(t.Elem())
	case reflect.Struct:
		name := definition(t)
		if _, seen := w.structs[name]; !seen {
			w.structs[name] = nil
			w.structs[name] = w.fieldsOf(t)
		}
		return "@" + name
	}
	fail("cannot name %v", t)
	return ""
}

func (w *walker) fieldsOf(t reflect.Type) []field {
	fields := []field{}
	for i := range t.NumField() {
		f := t.Field(i)
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == "-" || !f.IsExported() {
			continue
		}
		if f.Anonymous && tag == "" {
			for _, inner := range w.fieldsOf(f.Type) {
				inner.Inline = strings.TrimSuffix(f.Name+"."+inner.Inline, ".")
				fields = append(fields, inner)
			}
			continue
		}
		if tag == "" {
			tag = f.Name
		}
		fields = append(fields, w.fieldOf(tag, options, f.Type))
	}
	return fields
}

func (w *walker) fieldOf(name, options string, t reflect.Type) field {
	out := field{Name: name, Type: w.typeOf(t), Pointer: t.Kind() == reflect.Pointer, Go: goNames(t)}
	omitempty, omitzero := false, false
	for _, option := range strings.Split(options, ",") {
		omitempty = omitempty || option == "omitempty"
		omitzero = omitzero || option == "omitzero"
	}
	// omitempty means nothing to a struct: Go writes it always.
	left := omitzero || (omitempty && t.Kind() != reflect.Struct)
	if !left {
		zero, err := json.Marshal(reflect.Zero(t).Interface())
		must(err)
		raw := json.RawMessage(zero)
		out.Zero = &raw
	}
	out.DropZero = left && t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface
	return out
}

// goNames lists a type and its elements as errors name them, nil when all of them are plain types or structs.
func goNames(t reflect.Type) []string {
	names, named := []string{}, false
	for {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if _, ok := special[t]; ok || t.Kind() == reflect.Struct {
			break
		}
		plain := t.PkgPath() == ""
		named = named || !plain || t.Kind() == reflect.Map && t.Key().PkgPath() != ""
		names = append(names, t.String())
		if (t.Kind() != reflect.Slice && t.Kind() != reflect.Map) || t.Elem().Kind() == reflect.Uint8 {
			break
		}
		t = t.Elem()
	}
	if !named {
		return nil
	}
	return names
}

// definition is the name in the OpenAPI documents: k8s.io/api/core/v1.Pod -> io.k8s.api.core.v1.Pod.
func definition(t reflect.Type) string {
	domain, path, _ := strings.Cut(t.PkgPath(), "/")
	labels := strings.Split(domain, ".")
	for i, j := 0, len(labels)-1; i < j; i, j = i+1, j-1 {
		labels[i], labels[j] = labels[j], labels[i]
	}
	return strings.Join(labels, ".") + "." + strings.ReplaceAll(path, "/", ".") + "." + t.Name()
}

func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}
