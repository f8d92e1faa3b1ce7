// 서버가 모델을 실행하는 페이지의 시작

import { openPage } from "./page.js";
import { connect } from "./server.js";

openPage(connect);
