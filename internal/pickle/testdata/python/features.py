"""features.py DIR: writes pickles of one feature each, NAME.pkl, and the canonical
text of what Python reads from them, NAME.txt, by canon.py. Needs numpy and pandas."""
import collections, datetime, decimal, fractions, io, os, pathlib, pickle, pickletools, sys, types, uuid
import numpy as np, pandas as pd
sys.path.insert(0, os.path.dirname(__file__))
from canon import canon
OUT = pathlib.Path(sys.argv[1]); OUT.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(1)
f8 = rng.normal(size=(3, 4))
F = {}
F['f8_C'] = f8
F['f8_F'] = np.asfortranarray(f8)
F['f8_strided'] = f8[:, ::2]
F['f8_1d'] = f8.ravel()
F['f8_0d'] = np.array(1.5)
F['f8_empty'] = np.empty((0,))
F['f8_empty2'] = np.empty((0, 5))
F['f8_nan_inf'] = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324])
F['f8_readonly'] = (lambda a: (a.setflags(write=False), a)[1])(f8.copy())
F['f4'] = f8.astype('f4'); F['f2'] = f8.astype('f2'); F['longdouble'] = f8.astype(np.longdouble)
F['c16'] = f8.astype('c16')
for t in ('i1','i2','i4','i8','u1','u2','u4','u8','?'): F['a_'+t.replace('?','bool')] = np.arange(6).astype(t).reshape(2,3)
F['f8_bigendian'] = f8.astype('>f8'); F['i8_bigendian'] = np.arange(5).astype('>i8')
F['f8_F_bigendian'] = np.asfortranarray(f8.astype('>f8'))
F['obj_str'] = np.array(['PLR1', 'é☃'], dtype=object); F['obj_mixed'] = np.array([1, 'a', None, 2.5], dtype=object)
F['obj_2d'] = np.array([['a','b'],['c','d']], dtype=object); F['obj_F'] = np.asfortranarray(F['obj_2d'])
F['obj_empty'] = np.array([], dtype=object)
F['U'] = np.array(['PLR1', 'é☃', ''], dtype='U5'); F['S'] = np.array([b'ab', b'c'], dtype='S3')
F['U_bigendian'] = np.array(['PLR1'], dtype='>U5')
F['struct'] = np.array([(1, 2.5), (3, 4.5)], dtype=[('a','i4'),('b','f8')])
F['struct_nested'] = np.zeros(2, dtype=[('a','i4',(2,)),('b',[('c','f4')])])
F['dt64'] = np.array(['2024-01-02'], dtype='M8[D]'); F['td64'] = np.array([5], dtype='m8[ns]')
F['masked'] = np.ma.array([1.,2.,3.], mask=[0,1,0]); F['recarray'] = F['struct'].view(np.recarray)
F['matrix'] = np.matrix([[1.,2.]])
F['memmap'] = None
for n_, v in (('f8',np.float64(1.5)),('f4',np.float32(1.5)),('f2',np.float16(1.5)),('i8',np.int64(-3)),('u8',np.uint64(2**64-1)),('bool',np.bool_(True)),('str',np.str_('é')),('bytes',np.bytes_(b'x')),('c16',np.complex128(1+2j)),('dt',np.datetime64('2024-01-02'))): F['scalar_'+n_] = v
F['dtype'] = np.dtype('f8'); F['dtype_struct'] = F['struct'].dtype
F['shared'] = [f8, f8, {'x': f8}]
F['npint_keys'] = {np.int64(0): 'a', np.int64(1): 'b'}
F['tuple_keys'] = {(1,'a'): 1, (2,'b'): 2}
F['dup_value_keys'] = {1: 'int', 1.5: 'f'}
F['OrderedDict'] = collections.OrderedDict(a=1, b=2); F['defaultdict_list'] = collections.defaultdict(list, a=[1]); F['Counter'] = collections.Counter('aab')
F['deque'] = collections.deque([1,2]); F['namedtuple_std'] = None
F['datetime'] = datetime.datetime(2024,1,2,3,4,5); F['date'] = datetime.date(2024,1,2); F['timedelta'] = datetime.timedelta(1,2,3); F['tz'] = datetime.datetime(2024,1,2,tzinfo=datetime.timezone.utc)
F['PosixPath'] = pathlib.PosixPath('/a/b'); F['uuid'] = uuid.UUID(int=5); F['decimal'] = decimal.Decimal('1.5'); F['fraction'] = fractions.Fraction(1,3)
F['set_int'] = {1,2}; F['set_str'] = {'a'}; F['set_bytes'] = {b'ab'}; F['set_tuple'] = {(1,2)}; F['frozenset'] = frozenset({1}); F['frozenset_bytes'] = frozenset({b'a'}); F['set_empty'] = set()
F['bytes'] = b'abc'; F['bytearray'] = bytearray(b'abc'); F['bytes_key'] = {b'k': 1}; F['bytes_100k'] = b'x'*100_000
F['ints'] = [0,1,255,256,65535,65536,2**31-1,-2**31,2**31,2**63-1,-2**63,2**63,2**64,-2**64,-1,-255,-256,2**200,-2**200, -128, -129, 127, 128]
F['floats'] = [0.0,-0.0,1.5,float('nan'),float('inf')]; F['bools'] = [True, False, None]; F['complex'] = 1+2j
F['str'] = ['', 'é☃', 'x'*300, 'a\nb', '\ud800'.encode('utf8','surrogatepass').decode('utf8','surrogatepass')]
F['str_70k'] = 'y'*70_000
F['nested'] = {'a': {'b': [1, (2, {'c': (3,)})]}}
F['slice'] = slice(1,2); F['range'] = range(3); F['ellipsis'] = ...
F['Series'] = pd.Series([1.,2.]); F['DataFrame'] = pd.DataFrame({'a':[1.,2.],'b':['x','y']}); F['Categorical'] = pd.Categorical(['a','b']); F['Timestamp'] = pd.Timestamp('2024-01-02')
F['SimpleNamespace'] = types.SimpleNamespace(a=1)
cyc = []; cyc.append(cyc); F['cyclic_list'] = cyc
lines = []
for k, v in F.items():
    if v is None: continue
    for proto in (2, 3, 4, 5):
        if proto != 5 and k not in ('f8_C','f8_F','obj_str','scalar_f8','scalar_i8','ints','floats','str','OrderedDict','set_int','bytes','bytearray','nested','U','bools','datetime'): continue
        name = f'{k}.p{proto}'
        try: data = pickle.dumps(v, protocol=proto)
        except Exception as e: print('cannot write', name, e); continue
        (OUT/f'{name}.pkl').write_bytes(data)
        try: text = '\n'.join(canon(v))
        except RecursionError: text = 'CYCLE'
        (OUT/f'{name}.txt').write_text(text)
def rename(data):
    """The names that numpy 2 gives to the modules of numpy 1; frames are left out."""
    names = {'numpy.core.multiarray': b'numpy._core.multiarray', 'numpy.core.numeric': b'numpy._core.numeric'}
    out = io.BytesIO(); ops = list(pickletools.genops(data))
    for (op, arg, pos), nxt in zip(ops, ops[1:] + [(None, None, len(data))]):
        if op.name == 'FRAME': continue
        raw = names.get(arg) if op.name == 'SHORT_BINUNICODE' else None
        out.write(data[pos:nxt[2]] if raw is None else b'\x8c' + bytes([len(raw)]) + raw)
    return out.getvalue()
# numpy 2 module names
for k in ('f8_C','f8_F','obj_str','scalar_f8'):
    data = rename(pickle.dumps(F[k], 5)); (OUT/f'np2_{k}.p5.pkl').write_bytes(data); (OUT/f'np2_{k}.p5.txt').write_text('\n'.join(canon(F[k])))
# out-of-band buffers
bufs=[]; data = pickle.dumps(f8, 5, buffer_callback=bufs.append); (OUT/'oob_f8.p5.pkl').write_bytes(data); (OUT/'oob_f8.p5.txt').write_text('OUT OF BAND')
ro = f8.copy(); ro.setflags(write=False); data = pickle.dumps(ro, 5, buffer_callback=bufs.append); (OUT/'oob_ro_f8.p5.pkl').write_bytes(data); (OUT/'oob_ro_f8.p5.txt').write_text('OUT OF BAND')
# PickleBuffer of a plain bytearray in band
(OUT/'picklebuffer.p5.pkl').write_bytes(pickle.dumps(pickle.PickleBuffer(bytearray(b'abc')),5)); (OUT/'picklebuffer.p5.txt').write_text('\n'.join(canon(bytearray(b'abc'))))
# omegaconf-like: class with __setstate__ dict
mod = types.ModuleType('omegaconf.dictconfig'); sys.modules['omegaconf']=types.ModuleType('omegaconf'); sys.modules['omegaconf.dictconfig']=mod
class DictConfig:
    def __init__(self, **kw): self.__dict__.update(kw)
    def __getstate__(self): return {'_content': {'a': 1}, '_metadata': None}
    def __setstate__(self, s): self.__dict__.update(s)
DictConfig.__module__='omegaconf.dictconfig'; DictConfig.__qualname__='DictConfig'; mod.DictConfig=DictConfig
(OUT/'omegaconf_DictConfig.p5.pkl').write_bytes(pickle.dumps(DictConfig(),5)); (OUT/'omegaconf_DictConfig.p5.txt').write_text('UNSUPPORTED')
try: memoryview(b'a') and pickle.dumps(memoryview(b'a'),5)
except TypeError as e: print('memoryview:', e)
print(len(list(OUT.glob('*.pkl'))), 'feature files')
